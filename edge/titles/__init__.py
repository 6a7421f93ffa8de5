"""Which titles viewers may take up next, and what is made of it.

Where to look, in the order of reading:

    events      what the model of titles is asked, and what it says
    names       which manifest a name of that model means, and the other way round
    histories   what each viewer has taken up
    turns       how often viewers take up something else at all
    advisor     when it is asked; the answers of all viewers put together
    popular     what is taken up here, for those of whom nothing is known
    home        the rows a client is shown

What is fetched of it is in edge.prefetch.heads. Without a model nothing is asked or remembered.
"""
