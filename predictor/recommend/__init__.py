"""Which title a viewer takes up next: home rows, and prefixes fetched before anyone asks.

    history       what a viewer has watched, as numbers of titles
    popularity    the same order for everyone: the answer where nothing is known
    markov        the decayed-window Markov chain, the baseline and the fallback without a model
    transitions   what is watched near what, in both directions, learnt as sparse rows
    taste         a short vector for every title, by viewers and by content
    blend         both and popularity as one probability for every title
    packing       its numbers in eight bits
    graph         the same as one ONNX graph, float or int8
    served        a graph and its titles, as an edge uses them
    rows          from scores to a list of recommendations
    recommendations  such a list, and the interface of all that can give one
    heads         whose beginnings all viewers of an edge make worth holding

A title here is what a viewer chooses: a series as a whole, or a film. Which episode follows which
is the business of the next-episode model.
"""
