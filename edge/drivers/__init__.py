"""The I/O of an edge; nothing is decided here.

Where to look, in the order of reading:

    the node
    settings                what settings leave open or name, filled in and looked up
    live_settings           those in force, and new ones while it runs

    towards clients
    server                  the data port
    sockets                 what both ports listen on
    ring                    hits on their way to the core
    admin, token            the operators' port; the word that changes something there
    metrics, model_metrics, title_metrics, fleet_metrics
                            the figures in the words of Prometheus
    home                    the rows a client is shown
    forgetting              a viewer to be forgotten, from the call to its answer
    admin_client            who calls
    purging, purge_client   a purge from its call to its answer; who calls

    towards upstream
    upstream                fetches and requests passed through, connections, names, TLS
    catalog                 whether it is a Nearcast origin

    what is sent
    body                    what is sent, wherever the bytes are
    bodies                  where they are; carries out what the core decides about them
    fill_bodies             those of open fills
    memory_copies           those that are in RAM as well
    growing, spool          a fetch under way; how it gets to the disk while it grows
    growing_room            how much RAM those may take together
    stored_bodies, file_body
                            stored objects, opened and checked; one on its way out
    held, file_reads        open files; reading them without stopping the loop

    the store
    store                   objects in a folder, their index and checksums

    the fleet
    fleet                   what the origins coordinate
    telemetry               what they are told was served

    what comes next
    manifests               reads them
    models, model_fetch     the origin's registry of models; one of them, file by file
    model_store             those that were fetched
    inference               the models that run, seen from the node
    titles                  the model of titles that runs
    inference_child         one of all these
    inference_worker        its process
"""
