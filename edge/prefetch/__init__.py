"""What is fetched before it is asked for, and why.

Where to look, in the order of reading:

    value               what a byte is worth, and from which probability on
    plans               what every source of foresight gives

    the next title
    judge               how likely a viewer goes on; asked of the model
    context             what the model is told
    observed            what viewers went on to, where nothing else is known
    tallies             counts that forget
    next_episode        the plans that follow
    heads               the plans for titles that anybody may take up next
    staging, starts     which piece of it comes next; at which rungs players start

    the title being watched
    in_session          its next segments
    rungs               at which rung they will be asked for

    what is fetched
    planner             starts and pauses fetches
    running             those on their way, and when one is given up
    market, prices      weighs what is wanted; by what it is worth now
    shelf               whether it is here already, or not to be had
    budget, hours       what may be spent; at which time of the day
    trust               how far each source is to be believed
    displaced           what the room would have earned
    backhaul            how long clients wait for upstream

    accounts            what became of it, for all of these
    book, explanation   what is remembered of each decision; what is said to who asks
    wording             the same in words
    office              builds all of these
"""
