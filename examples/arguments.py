"""Arguments: typed fields with defaults; what is missing, unknown or wrong is refused before anything starts.

The same function serves the command line, a test and a cluster.
`flowjob run examples/arguments.py --arg words='to be or not to be' --arg at_least=2`"""

import flowjob as fj


class Word(fj.Schema):
    word: str


class Args(fj.Args):
    words: str
    at_least: int = 1


def counted(words: fj.Stream[Word], at_least: int) -> fj.Stream:
    """Each word with how often it was seen so far, once that is often enough."""
    return words.key_by("word").agg(seen=fj.count()).filter(fj.col("seen") >= at_least)


def job(args: Args) -> fj.Job:
    job = fj.Job("arguments")
    words = job.read(fj.from_rows([Word(word) for word in args.words.split()], Word))
    job.write(counted(words, args.at_least), fj.show("words"))
    return job
