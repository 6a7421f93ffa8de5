"""An edge in a fleet: what it tells the origins, and the placement plan it follows. No I/O.

identity      who the edge is: what enrolling left
member        the machine that speaks with the origins
events        what that is told, and wants done
plan_in_force which plan is followed
origins       which origin is asked
origin_time   what time it is there
probes        looking at other edges
beats         a heartbeat, from the edge's figures
digest        which titles are held

following     the plan, carried out inside the edge's core
orders        what that is told
files         the files of a plan, and how far each is
backlog       which of them is next, which wait, which are for later
completion    one file: pins what is here of it, has fetched what is not
run_results   what the end of a planned fill means for its file
plan_report   what the origin hears of the files
object_files  which files an object is a part of
pieces        a file's objects, through its manifest
readings      manifests on their way to the map
survey        what is held of a new plan
pins          what belongs to the plan, within its share
fetching      whether an object may be fetched now, and from whom
alarm         when to look again
runs          the fills under way
leave         reading no more than windows, rate and bytes allow
account       what is spent, written down before it is
sources       whom to ask: a peer, or the origin
"""
