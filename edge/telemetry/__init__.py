"""What an edge tells the origin of what it served: sums and viewings, never a viewer.

Where to look:

    desk       takes what the core sees, gives the events to be written down
    demand     what viewers took of each rendition, added up between two looks
    reports    what players say of themselves (CMCD), for a viewing and for the node
    titles     how titles are called between edges and the origin
"""
