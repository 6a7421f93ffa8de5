"""The page at `/`: which titles there are, and the URLs to give to a player."""

from __future__ import annotations

from html import escape

from nearcast.messages import CATALOG_PATH, Catalog, TitleEntry

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Nearcast origin</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem }}
td, th {{ padding: .2rem 1rem .2rem 0; text-align: left }}
</style>
<h1>Nearcast origin</h1>
<p>{count} titles, revision <code>{revision}</code>; as JSON: <a href="{catalog}">{catalog}</a></p>
<table>
<tr><th>title</th><th>episode</th><th>genre</th><th>length</th><th>DASH</th><th>HLS</th></tr>
{rows}
</table>
</html>
"""
_ROW = (
    "<tr><td>{name}</td><td>{episode}</td><td>{genre}</td><td>{length}</td>"
    '<td><a href="{dash}">{dash}</a></td><td><a href="{hls}">{hls}</a></td></tr>'
)


def index_page(catalog: Catalog) -> bytes:
    return _PAGE.format(
        count=len(catalog.titles),
        revision=escape(catalog.revision),
        catalog=CATALOG_PATH,
        rows="\n".join(_row(title) for title in catalog.titles),
    ).encode()


def _row(title: TitleEntry) -> str:
    episode = ""
    if title.series is not None:
        episode = f"{title.series} {title.season_no}.{title.episode_no}"
    minutes, seconds = divmod(round(title.duration_s), 60)
    return _ROW.format(
        name=escape(title.name),
        episode=escape(episode),
        genre=escape(title.genre or ""),
        length=f"{minutes}:{seconds:02d}",
        dash=escape(title.dash, quote=True),
        hls=escape(title.hls, quote=True),
    )
