"""Words of the gateway's public face that several tests rely on, in one place."""

# gateway/exchange/reasons.list: one stable word for what became of an exchange.
OK = "ok"
BAD_REQUEST = "bad_request"
URI_TOO_LONG = "uri_too_long"
HEADERS_TOO_LARGE = "headers_too_large"
BODY_TOO_LARGE = "body_too_large"
REQUEST_TIMEOUT = "request_timeout"
NO_ROUTE = "no_route"
METHOD_NOT_ALLOWED = "method_not_allowed"
AUTH_FAILED = "auth_failed"
KEY_EXPIRED = "key_expired"
IP_NOT_ALLOWED = "ip_not_allowed"
SERVICE_NOT_ALLOWED = "service_not_allowed"
RATE_LIMITED = "rate_limited"
QUOTA_EXCEEDED = "quota_exceeded"
CIRCUIT_OPEN = "circuit_open"
CONNECT_FAILED = "upstream_connect_failed"
CONNECT_TIMEOUT = "upstream_connect_timeout"
UPSTREAM_RESET = "upstream_reset"
UPSTREAM_TIMEOUT = "upstream_timeout"
UPSTREAM_BAD = "upstream_bad_response"
TRUNCATED = "upstream_truncated"
TIMEOUT = "timeout"
CLIENT_GONE = "client_gone"
CLIENT_SLOW = "client_slow"

# The metric families of the two seeds.
S1_REQUESTS = "gateway_requests_total"
S1_DURATION = "gateway_request_duration_seconds"
S3_COUNTER = "http_request_counter"
S3_TIMER = "http_request_timer"
S3_LIMITED = "gateway_rate_limited_total"
S3_BREAKER = "gateway_circuit_breaker_state"
S3_CANCELED = "gateway_proxy_canceled_total"

# The family of our own, as far as tests look at it.
GENERATION = "gateway_config_generation"
RELOADS_FAILED = "gateway_config_reload_failures_total"
RELOAD_OK = "gateway_config_last_reload_success"
RECORDS_DROPPED = "gateway_records_dropped_total"
SHM_BYTES = "gateway_shm_bytes"
SEAT_UP = "gateway_seat_up"

# Process titles (/proc/PID/cmdline).
TITLE_WORKER = "worker"
TITLE_CARETAKER = "caretaker"

# A breaker's state in its gauge (S3).
CLOSED, OPEN, HALF_OPEN = 0, 1, 2
