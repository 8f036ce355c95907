package retryablestatusextension

import (
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// httpWaits says of a status that upstream's exporters take for final whether the same request may succeed when somebody has mended something else.
// 400, 409, 413 and 422 are about the data; the rest of 4xx and 5xx that upstream does not retry is about the way.
func httpWaits(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusGone, http.StatusMisdirectedRequest, http.StatusTooEarly,
		http.StatusInternalServerError, http.StatusInsufficientStorage:
		return true
	}
	return false // 3xx: the client follows them
}

// grpcWaits is the same for gRPC. Internal is how a collector answers for good; from a transport it is a cut connection.
func grpcWaits(s *status.Status) bool {
	switch s.Code() {
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.NotFound, codes.Unknown:
		return true
	case codes.ResourceExhausted:
		// Without RetryInfo upstream gives up: rate limits of Tempo, for example. A message that is too large stays so.
		return !strings.Contains(s.Message(), "larger than max")
	case codes.Internal:
		return strings.Contains(s.Message(), "RST_STREAM")
	}
	return false
}
