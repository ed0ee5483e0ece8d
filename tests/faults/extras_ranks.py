"""Faults of ranks.py: who they are, how they end, and what they ask of each other."""

FAULTS = {
    "is_launched": {
        "never": (
            "any(name in os.environ for name in ('PMI_SIZE', 'PMIX_RANK', 'OMPI_COMM_WORLD_SIZE'))",
            "False",
        ),
    },
    "mpi": {
        "errors-end-one": ("sys.excepthook = end_all", "pass"),
        "no-goodbye": ("atexit.register(leave)", "pass"),
    },
    "get_rank": {"all-are-first": ("int(mpi().COMM_WORLD.rank)", "0")},
    "get_world_size": {
        "one-more": ("int(mpi().COMM_WORLD.size)", "int(mpi().COMM_WORLD.size) + 1")
    },
    "launch": {
        "one-fewer": ("str(processes)", "str(processes - 1)"),
        "all-threads-for-each": ("max(1, cores() // processes)", "cores()"),
        "threads-not-told": ("os.environ.setdefault(name, str(share))", "pass"),
    },
    "is_crowded": {
        "of-one": (
            "neighbours.allreduce(int(told[0]) if told else cores())",
            "int(told[0]) if told else cores()",
        ),
        "by-all": ("neighbours.rank == 0", "True"),
        "never-crowded": ("threads <= cores()", "True"),
        "one-thread-if-not-told": (
            "int(told[0]) if told else cores()",
            "int(told[0]) if told else 1",
        ),
    },
    "end_all": {
        "one-goes-on": ("mpi().COMM_WORLD.Abort(130 if interrupted else 1)", "pass"),
        "silent": ('"".join(traceback.format_exception(kind, error, where))', '""'),
        "all-speak": ("time.sleep(min(get_rank(), 5))", "pass"),
        "status": ("130 if interrupted else 1", "1"),
    },
    "leave": {
        "silent-goodbye": ("[ranks.isend(taken, rank, LEFT) for rank in others]", "[]"),
    },
    "exchange": {
        "replayed": ("isinstance(notes, Notes)", "False"),
        "for-ever": ("[rank for rank, count in left.items() if count < taken]", "[]"),
        "at-once": ("count < taken", "True"),
        "goodbye-unheard": ("ranks.Iprobe(tag=LEFT)", "False"),
        "not-counted": ("taken += 1", "pass"),
    },
    "summed": {
        "in-any-order": ("np.array(array, order='C')", "np.array(array, order='K')"),
        "into-the-own": ("np.array(array, order='C')", "np.ascontiguousarray(array)"),
    },
    "gathered": {
        "own-left-out": ("every[get_rank()] = array", "pass"),
    },
    "broadcast": {
        "each-its-own": ("exchange('Ibcast', same)", "pass"),
    },
}
