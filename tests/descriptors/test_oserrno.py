"""Every error of a host, and the errno that the guest gets."""

import errno

import pytest

from wasihost import Errno
from wasihost.descriptors.oserrno import TABLE, errno_of

RENAMED = {"E2BIG": "TOOBIG", "EWOULDBLOCK": "AGAIN", "EOPNOTSUPP": "NOTSUP", "EDEADLOCK": "DEADLK",
           "ENOATTR": "NOENT", "ESHUTDOWN": "PIPE", "ETIME": "TIMEDOUT"}  # fmt: skip

HOST_ONLY = {
    "EADV", "EBADE", "EBADFD", "EBADR", "EBADRQC", "EBADSLT", "EBFONT", "ECHRNG", "ECOMM", "EDOTDOT", "EHOSTDOWN",
    "EISNAM", "EKEYEXPIRED", "EKEYREJECTED", "EKEYREVOKED", "EL2HLT", "EL2NSYNC", "EL3HLT", "EL3RST", "ELIBACC",
    "ELIBBAD", "ELIBEXEC", "ELIBMAX", "ELIBSCN", "ELNRNG", "EMEDIUMTYPE", "ENAVAIL", "ENOANO", "ENOCSI", "ENODATA",
    "ENOKEY", "ENOMEDIUM", "ENONET", "ENOPKG", "ENOSR", "ENOSTR", "ENOTBLK", "ENOTNAM", "ENOTUNIQ", "EPFNOSUPPORT",
    "EREMCHG", "EREMOTE", "EREMOTEIO", "ERESTART", "ERFKILL", "ESOCKTNOSUPPORT", "ESRMNT", "ESTRPIPE", "ETOOMANYREFS",
    "EUCLEAN", "EUNATCH", "EUSERS", "EXFULL", "EAUTH", "EBADARCH", "EBADEXEC", "EBADMACHO", "EBADRPC", "EDEVERR",
    "EFTYPE", "ENEEDAUTH", "ENOPOLICY", "EPROCLIM", "EPROCUNAVAIL", "EPROGMISMATCH", "EPROGUNAVAIL", "EPWROFF",
    "EQFULL", "ERPCMISMATCH", "ESHLIBVERS", "EHWPOISON",
}  # fmt: skip
"""What hosts have and the spec does not."""


@pytest.mark.parametrize(("number", "name"), sorted(errno.errorcode.items()))
def test_an_error_keeps_its_name(number: int, name: str) -> None:
    expected = Errno.IO if name in HOST_ONLY else Errno[RENAMED.get(name, name[1:])]
    assert errno_of(OSError(number, "text")) == expected


@pytest.mark.parametrize("name", sorted(set(Errno.__members__) - {"SUCCESS", "TOOBIG", "NOTCAPABLE"}))
def test_every_error_of_the_spec_has_a_host_s(name: str) -> None:
    assert TABLE[getattr(errno, f"E{name}")] == Errno[name]


def test_an_error_without_a_number_goes_by_its_class() -> None:
    assert errno_of(FileNotFoundError("f")) == Errno.NOENT
    assert errno_of(PermissionError()) == Errno.ACCES
    assert errno_of(TimeoutError()) == Errno.TIMEDOUT
    assert errno_of(FileNotFoundError(2, "with a number")) == Errno.NOENT


def test_an_error_that_says_nothing_is_io() -> None:
    assert errno_of(OSError("no number")) == errno_of(OSError(0, "none")) == Errno.IO
    assert errno_of(OSError(99999, "unheard of")) == Errno.IO


def test_no_os_error_becomes_success() -> None:
    assert Errno.SUCCESS not in TABLE.values()
