"""A short vector for every title: the part of taste that reaches beyond what was watched together.

The vectors are those of a linear autoencoder of rank d (EASE: Steck, "Embarrassingly Shallow
Autoencoders", WWW 2019, whose closed form is used here through the eigenvectors of the viewers'
common plays). Where content is known, the vector of a title with few plays leans on the mean of
the titles of its genre, so that one that is new is near something.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from predictor.recommend.history import Floats, Ints

# Plays at which a title's own vector and its genre's weigh the same.
_CONTENT_PLAYS = 3.0
# More viewers are sampled evenly: the eigenvectors take time with the cube of their number, and
# plays are held as a matrix.
_VIEWERS_MAX = 1_000
_CELLS_MAX = 50_000_000  # 200 MB


class Taste(msgspec.Struct, frozen=True, kw_only=True):
    """`vectors` (titles, d); a title's score is its vector times the viewer's, times `scale`."""

    vectors: Floats
    scale: Floats  # (titles,)


def learn_taste(
    histories: Sequence[Ints],
    title_count: int,
    *,
    rank: int,
    ridge: float,
    genre: Ints | None = None,
) -> Taste:
    """`genre` is (titles,), -1 where unknown."""
    viewers_max = max(1, min(_VIEWERS_MAX, _CELLS_MAX // title_count))
    step = max(1, -(-len(histories) // viewers_max))
    chosen = [history for history in histories[::step] if len(history)]
    plays = np.zeros((len(chosen), title_count), dtype=np.float32)
    for row, history in zip(plays, chosen, strict=True):
        row[history] = 1.0
    values, viewers = np.linalg.eigh((plays @ plays.T).astype(np.float64))
    best = [at for at in np.argsort(-values)[:rank] if values[at] > 1e-6]
    values, viewers = values[best], viewers[:, best]
    # The sign of an eigenvector is the library's choice: make it ours.
    viewers = viewers * np.where(viewers.sum(axis=0) < 0.0, -1.0, 1.0)
    vectors = (plays.T @ viewers) / np.sqrt(values) * np.sqrt(values / (values + ridge))
    vectors = np.pad(vectors, ((0, 0), (0, rank - len(best))))
    scale = 1.0 / np.maximum(0.05, 1.0 - (vectors**2).sum(axis=1))
    if genre is not None:
        vectors = _lean_on_genre(vectors, plays.sum(axis=0), genre)
    return Taste(vectors=np.asarray(vectors, dtype=np.float64), scale=scale)


def _lean_on_genre(vectors: Floats, plays: Floats, genre: Ints) -> Floats:
    leaning = vectors.copy()
    for one in np.unique(genre[genre >= 0]):
        members = genre == one
        mean = vectors[members].sum(axis=0) / max(1, int((plays[members] > 0).sum()))
        own = (plays[members] / (plays[members] + _CONTENT_PLAYS))[:, None]
        leaning[members] = own * vectors[members] + (1.0 - own) * mean
    return leaning
