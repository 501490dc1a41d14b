# A server that keeps no messages, to see what a held call takes.
from gortc.tap import configure, make_application

settings = configure(trace_bytes=0)
application = make_application(settings)
