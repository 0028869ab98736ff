"""Sections: which modules the library reference of Python 3.11 to 3.14 describes in which section.

Facts read off the table of contents of https://docs.python.org/3/library/. Modules come and go with
versions, and some are missing on some systems: what is not there is left out by whoever reads this.
"""

from __future__ import annotations


def _read(text: str) -> dict[str, tuple[str, ...]]:
    """Headings at the margin, words below them indented."""
    sections: dict[str, tuple[str, ...]] = {}
    heading = ""
    for line in text.strip().splitlines():
        if not line.startswith(" "):
            heading = line
        sections[heading] = sections.get(heading, ()) + (tuple(line.split()) if line != heading else ())
    return sections


SECTIONS = _read("""
Built-in Functions and Types
    builtins
Text Processing Services
    string string.templatelib re difflib textwrap unicodedata stringprep rlcompleter
Binary Data Services
    struct codecs
Data Types
    datetime zoneinfo calendar collections collections.abc heapq bisect array weakref types copy
    pprint reprlib enum graphlib
Numeric and Mathematical Modules
    numbers math cmath decimal fractions random statistics
Functional Programming Modules
    itertools functools operator
File and Directory Access
    pathlib os.path stat filecmp tempfile glob fnmatch linecache shutil fileinput
Data Persistence
    pickle copyreg shelve marshal dbm sqlite3
Data Compression and Archiving
    compression.zstd zlib gzip bz2 lzma zipfile tarfile
File Formats
    csv configparser tomllib netrc plistlib xdrlib
Cryptographic Services
    hashlib hmac secrets
Generic Operating System Services
    os io time argparse optparse getopt logging logging.config logging.handlers getpass curses
    platform errno ctypes
Concurrent Execution
    threading multiprocessing concurrent.futures concurrent.interpreters subprocess sched queue
    contextvars _thread
Networking and Interprocess Communication
    asyncio socket ssl select selectors signal mmap asyncore asynchat
Internet Data Handling
    email json mailbox mimetypes mailcap base64 binascii quopri uu
Structured Markup Processing Tools
    html xml.etree.ElementTree xml.dom xml.sax xml.parsers.expat
Internet Protocols and Support
    webbrowser cgi cgitb wsgiref urllib http http.client http.server http.cookies http.cookiejar
    ftplib poplib imaplib nntplib smtplib smtpd telnetlib uuid socketserver xmlrpc.client
    xmlrpc.server ipaddress
Multimedia Services
    wave colorsys aifc sunau audioop chunk imghdr sndhdr
Internationalization
    gettext locale
Program Frameworks
    turtle cmd shlex
Graphical User Interfaces with Tk
    tkinter
Development Tools
    typing pydoc doctest unittest unittest.mock
Debugging and Profiling
    bdb faulthandler pdb profile cProfile pstats timeit trace tracemalloc
Software Packaging and Distribution
    ensurepip venv zipapp
Python Runtime Services
    sys sysconfig warnings dataclasses contextlib abc atexit traceback gc inspect annotationlib site
Custom Python Interpreters
    code codeop
Importing Modules
    zipimport pkgutil modulefinder runpy importlib
Python Language Services
    ast symtable token keyword tokenize tabnanny pyclbr py_compile compileall dis pickletools
Unix Specific Services
    posix pwd grp termios tty pty fcntl resource syslog crypt pipes nis spwd
""")
"""Section -> its modules. A package stands for its submodules, unless one of them is listed itself."""

HOMES = {
    "genericpath": "os.path",
    "posixpath": "os.path",
    "ntpath": "os.path",
    "_strptime": "time",
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_weakrefset": "weakref",
    "sre_parse": "re",
    "sre_compile": "re",
    "_pyrepl": "code",
    "_threading_local": "threading",
    "_markupbase": "html",
    "nturl2path": "urllib",
    "opcode": "dis",
    "_opcode_metadata": "dis",
    "_colorize": "",
    "_pylong": "",
    "_android_support": "",
    "_apple_support": "",
}
"""Modules whose content is described under another module's name; "" = under none."""

COMPILED = frozenset(
    _read("""
compiled
    _abc _asyncio _bisect _bz2 _codecs _collections _contextvars _csv _curses _datetime _decimal
    _elementtree _functools _heapq _interpreters _io _locale _lzma _operator _pickle _queue _random
    _signal _socket _sqlite3 _ssl _statistics _struct _thread _tracemalloc _weakref _zoneinfo _zstd
    array atexit audioop binascii builtins cmath crypt errno faulthandler fcntl gc grp itertools
    marshal math mmap nis nt posix pwd pyexpat resource select spwd sys syslog termios time
    unicodedata zlib
""")["compiled"]
)
"""Modules written in C whose import does nothing but define things; no other module is ever imported."""

LEFT_OUT = frozenset(
    _read("""
folders
    __pycache__ _bundled _vendor distutils encodings idlelib lib2to3 pydoc_data test tests
    turtledemo
""")["folders"]
)
"""Folders that are no part of the library proper."""
