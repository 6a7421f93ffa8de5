"""The life of models on an edge: which one answers, how good it is, and what replaces it.

Where to look, in the order of reading:

    events, effects     what it is told; what it wants done
    lifecycle           starts, compares, switches and stops models
    run                 one that runs
    supply              those of the registry: here, on their way, and which to try next
    outcomes            what became of the questions
    score, drift        how good answers were; whether the viewers are still the same
    contest, verdicts   two models beside each other; when one is worse
    book, records       what is written down
    figures, wording    what operators are told, and how
"""
