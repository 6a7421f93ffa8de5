"""The admin API of the origin: its table of routes, who may call it, and what it is on.

port      the listener: API, page, figures, events
routes    the table, and how a request finds its row
openapi   the table as a document
login     tokens and browser sessions
events    server-sent events
"""
