# The configuration of a gortc server: every setting with its default. Keep what you change, drop the rest.
#
#   twistd -ny etc/gortc.tac                 in the foreground
#   twistd gortc --config etc/gortc.tac      as a daemon; options override what is set here
#
# A setting that can't be ends the start with one line that names it. More in docs/operations.md.

from gortc import Times
from gortc.admission import Limits, Rate
from gortc.tap import configure, make_application

settings = configure(
    # Who we are. Users are NAME@REALM; `domains` are further host names that are this node's own.
    realm="gortc.local",
    domains=(),

    # Where peers connect: Twisted endpoint strings, such as tcp:8080 (every interface) or unix:/run/gortc.sock:mode=660
    # (without a mode, for our own user alone),
    # and the path of the WebSocket URL, ws://HOST:8080/rtc?userid=USERID.
    rtc=("tcp:8080:interface=127.0.0.1",),
    path="/rtc",

    # Web pages that may connect besides those of the server's own host: ("https://app.example.com",).
    origins=(),

    # Who says who a peer is (docs/security.md): authenticators, in the order in which they are asked, such as
    #   {"jwt": {"keys": "/etc/gortc/jwks.json", "audience": "gortc"}}, {"mtls": {}, "webhook": {"url": "https://..."}},
    #   {"static": {"file": "/etc/gortc/users"}}.
    # "loopback": nobody, so `rtc` may listen on loopback only, and no limit holds.
    # "none": nobody, and listen anywhere all the same, on purpose, behind something that knows the users.
    auth="loopback",

    # Other nodes, by their userids: names outside our own domains that may connect, and those of them whose
    # P-Asserted-Identity counts. Whether a user's From must be its own name. Our reverse proxies, and the header by which
    # they say where a peer comes from: each must set it or add to it, or all its peers share the limits of one address.
    nodes=(),
    trusted_nodes=(),
    own_from=True,
    proxies=("127.0.0.0/8", "::1"),
    proxy_header="X-Forwarded-For",

    # What a stranger may ask for: connections, and token buckets (a second, at once). None: no such limit.
    limits=Limits(
        accepts=Rate(100, 1000),  # connections of one address; more are reset at once
        turn=0.005,  # seconds that opening handshakes may take at a time
        handshaking=1000,  # connections in their opening handshake
        connections=1000,  # of one address
        handshakes=Rate(50, 500),  # of one address
        failures=Rate(0.2, 20),  # of one address, that do not say who it is
        logins=Rate(1, 20),  # connections of one user
        frames=Rate(200, 2000),  # of one connection
        requests=Rate(200, 2000),  # that open a dialogue, of one address
        methods={
            "INVITE": Rate(5, 50), "MESSAGE": Rate(20, 200), "REGISTER": Rate(1, 20), "SUBSCRIBE": Rate(5, 50),
            "OPTIONS": Rate(5, 50), "INFO": Rate(50, 200), "UPDATE": Rate(10, 50), "PRACK": Rate(10, 50),
            "NOTIFY": Rate(20, 200),
        },  # of one user
        dialogues=100,  # open at a time, that one user has opened
        called=100,  # that others have opened to one user
        ringing=5,  # calls of one user at one other
        dials=10,  # hosts without a route that are dialled for one user
        memory=25165824,  # bytes held for all: some 10 KiB a call
        memory_connection=16384,  # bytes more for each connection
        memory_user=4194304,  # bytes held for one user
    ),

    # Services. All plugins that are found are loaded under their own names, unless it says otherwise here:
    #   "hunt400": {"agents": {"400@gortc.local": ["bob@gortc.local"]}, "within": 20},   its configuration
    #   "sales": Use("hunt400", {"agents": {...}}),     the same plugin once more (from gortc import Use)
    #   "echo": None,                                   not loaded
    services={},

    # How other domains are reached: {"b.example": Route("wss://gortc.b.example/rtc", trusted=True)} (from gortc import
    # Route). True for `dial`: hosts without a route are dialled, never at private addresses. So many at a time.
    routes={},
    dial=False,
    hops_max=100,
    lookups_max=20,  # names of such hosts that are looked up at a time

    # Where the management API listens ("" for nowhere; beyond loopback with tls: only), the file of its tokens, how long
    # one of its plugins may take for an answer, in seconds, the file of its access log ("" for none), and the plugins,
    # as `services` are told.
    api="tcp:2539:interface=127.0.0.1",
    api_token_file="gortc.token",
    api_seconds=10.0,
    api_connections=100,
    api_request_seconds=10.0,
    api_write_seconds=30.0,
    api_answer_max=4194304,
    access_log="",
    api_log_of_one=Rate(20, 2000),  # lines of what one name has looked at, changed, and was refused: a second, at once
    apis={},

    # What is loaded and removed while the server runs is kept in this file. True for `reload`, for developers: a
    # service is loaded again when its file is saved.
    state_file="gortc.state",
    reload=False,

    # True: the first label of the Router's or the Request-URI's host selects a service too (echo.gortc.local).
    select_by_host=False,

    # The log: the least level (debug, info, warn, error, critical); text or json; a file, or - for standard output.
    log_level="info",
    log_format="text",
    log_file="-",
    trace=False,  # True: each message is logged, in full

    # How much is logged: so many characters of a value, bytes of an event, lines a second of one kind, bytes a second in
    # all; lines a second about what was dropped for one reason, and of those of one channel or address (a second, at once).
    log_value_max=500,
    log_line_max=8192,
    log_per_second=100,
    log_bytes_per_second=32768,
    drop_log_per_second=10,
    drop_log_of_one=Rate(0.2, 5),

    # What is kept to show what a call did: so many bytes of the last messages; and the folder of the files that operators
    # have the messages of a user or number written to, which have so many bytes at most.
    trace_bytes=16777216,
    trace_folder="traces",
    trace_file_max=67108864,

    # What a peer may cost: the largest message, taken and sent, in bytes; the seconds and bytes of an opening handshake; the
    # seconds that a peer may be asked about who it is; the bytes that may wait for a peer that does not read; the messages for one that has no connection; the
    # open requests of a dialogue (more get 503), and those that wait for a service to read them (more get 480); so many
    # bad messages in so many seconds close its connection; so many connections a second are closed when a drained server
    # leaves.
    frame_max=65536,
    handshake_seconds=10.0,
    asking_seconds=30.0,
    handshake_max=16384,
    unsent_max=1048576,
    waiting_max=1024,
    requests_max=100,
    unread_max=64,
    garbage_max=20,
    garbage_seconds=10.0,
    closes_per_second=500,

    # Overload: above this load (a part of the time of one core), or this lag in seconds, new sessions get 503 in part,
    # until both are below the low marks. Who gets it is to wait from 1 to twice so many seconds, by chance.
    load_high=0.97,
    load_low=0.85,
    lag_high=0.25,
    lag_low=0.05,
    retry_after=2,

    # Every time of the stack, in seconds.
    times=Times(
        transaction=5.0,  # a request but INVITE, until its first response
        provisional=60.0,  # the same after a provisional response
        invite=60.0,  # an INVITE until its final response; each 1xx but 100 starts it again
        invite_max=600.0,  # the same in all
        cancel=32.0,  # a cancelled INVITE, until its final response
        ack=32.0,  # a 2xx to an INVITE, until its ACK
        error_ack=5.0,  # a 3xx..6xx to an INVITE, until its ACK
        session=600,  # the session interval: Expire of an INVITE that names none, and of our own
        session_min=10,  # the least Expire taken; less is refused with 423
        session_max=86400,  # the most; more is taken as this
        session_margin=5.0,  # how long after Expire a call that nobody refreshed is hung up
        absent=10.0,  # a caller without a connection whose call was answered, until the callee is told
        grace=120.0,  # a peer without a connection, until its dialogues end
        connect=3.0,  # a connection to a next hop, until it is made; and a first request that waits for it
        back_off_min=0.5,  # the least pause before a next hop is tried again
        back_off_max=30.0,  # the longest such pause
        idle=60.0,  # a connection to a next hop that nobody uses, until it is closed
        ping=15.0,  # between two pings of a connection
        dead=40.0,  # a connection from which nothing arrived for so long is dropped
        write=20.0,  # one whose peer reads nothing, while something waits for it, is dropped
        drain=60.0,  # calls that go on while the server drains, until they are hung up; 0: at once
    ),
)
application = make_application(settings, __file__)
