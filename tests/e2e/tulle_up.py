"""What the stories of `tulle up` share: ending what they have started, and whether a process is alive."""
import signal

from mesh import SANITIZER


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end_all(ups):
    """Ends meshes that may be up; returns what sanitizers have said."""
    said = ""
    for up in ups:
        up.signal(signal.SIGINT)
    for up in ups:
        try:
            up.wait(60)
        finally:
            up.stop()
        if SANITIZER.search(up.out + up.err):
            said += up.evidence()
    return said
