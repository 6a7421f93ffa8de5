"""The object store in a folder (docs/adr/0007-object-store.md). All calls block but `thread`'s.

disk              which objects there are: put, dropped, found again after a restart
journal, volumes  its index; the files that bodies lie in
checksums         one for each block
thread            who alone changes it
folder            whose it is
health            whether it takes what it should
types             what these tell each other
"""
