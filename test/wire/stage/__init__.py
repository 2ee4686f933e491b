"""The stage of the wire tests: the real binary, scripted services, and clients that read like referees.

Nothing here sleeps to wait for something: a start is awaited through the readiness message of the
daemon, an end through a pidfd, a request through a condition, a close through the socket itself.
"""
