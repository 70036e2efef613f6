package fileserver

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"freshet/fileserver/tree"
)

const statusesMax = 600 // status codes are below

// traffic counts requests. Counting is one atomic addition; names are put to numbers when somebody asks.
type traffic struct {
	requests     [len(methodNames) + 1][statusesMax]atomic.Uint64
	bytesOut     atomic.Uint64
	underWay     atomic.Int64
	connected    atomic.Int64
	loginsFailed atomic.Uint64
	turnedOff    atomic.Uint64 // connections refused because of ConnectionsMax
}

// methodNames are the methods that are counted by name; all others share one row.
var methodNames = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions,
	"MKCOL", "MOVE", "COPY", http.MethodPatch, "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "REPORT", http.MethodTrace,
	http.MethodConnect,
}

func (t *traffic) add(method string, status int, bytes int64) {
	row := slices.Index(methodNames[:], method)
	if row < 0 {
		row = len(methodNames)
	}
	if status >= 0 && status < statusesMax {
		t.requests[row][status].Add(1)
	}
	t.bytesOut.Add(uint64(bytes))
}

// collector presents the counts of a Server to Prometheus.
type collector struct {
	server  *Server
	traffic *traffic
	tree    *tree.Tree
}

var requestsDesc = prometheus.NewDesc("freshet_requests_total", "Requests answered.", []string{"method", "status"}, nil)

// A level is one number of the collector.
type level struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(c *collector, s *tree.Stats) float64
}

func counter(name, help string, of func(c *collector, s *tree.Stats) float64) level {
	return level{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, of}
}

func gauge(name, help string, of func(c *collector, s *tree.Stats) float64) level {
	return level{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, of}
}

var levels = []level{
	counter("freshet_response_bytes_total", "Bytes of bodies sent.",
		func(c *collector, _ *tree.Stats) float64 { return float64(c.traffic.bytesOut.Load()) }),
	gauge("freshet_requests_under_way", "Requests being answered.",
		func(c *collector, _ *tree.Stats) float64 { return float64(c.traffic.underWay.Load()) }),
	gauge("freshet_connections", "Connections open.",
		func(c *collector, _ *tree.Stats) float64 { return float64(c.traffic.connected.Load()) }),
	counter("freshet_connections_refused_total", "Connections refused because too many were open.",
		func(c *collector, _ *tree.Stats) float64 { return float64(c.traffic.turnedOff.Load()) }),
	counter("freshet_logins_failed_total", "Names and passwords that were wrong.",
		func(c *collector, _ *tree.Stats) float64 { return float64(c.traffic.loginsFailed.Load()) }),
	gauge("freshet_feed_subscribers", "Clients that follow the changes, or wait for the next one.",
		func(c *collector, _ *tree.Stats) float64 { return float64(c.server.subscribers.Load()) }),
	counter("freshet_hash_on_request_total", "Files hashed because a request asked.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.HashedOnRequest) }),
	counter("freshet_hash_in_background_total", "Files hashed after the watcher saw them change.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.HashedInBackground) }),
	counter("freshet_torn_total", "Bodies cut short because the file changed.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.Torn) }),
	counter("freshet_rollbacks_total", "Swaps undone because another program had changed the file.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.Rollbacks) }),
	counter("freshet_conflict_copies_total", "Conflict copies made.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.ConflictCopies) }),
	counter("freshet_commits_total", "Changes made.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.Commits) }),
	counter("freshet_mismatches_total", "Files found to have other bytes though nothing says that they were changed.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.Mismatches) }),
	gauge("freshet_watched_folders", "Folders watched.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.WatchedFolders) }),
	gauge("freshet_unwatched_folders", "Folders beyond the kernel's watch limit.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.UnwatchedFolders) }),
	gauge("freshet_unseen_folders", "Folders in which changes are looked for by each request, since no event tells of them.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.UnseenFolders) }),
	counter("freshet_feed_events_total", "Changes told to the feed.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.FeedEvents) }),
	counter("freshet_watch_overflows_total", "Times that the kernel lost events, and everything was looked at again.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.WatchOverflows) }),
	gauge("freshet_files", "Files and links in the tree; 0 until it was looked at once.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.Files) }),
	gauge("freshet_folders", "Folders in the tree.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.Folders) }),
	gauge("freshet_warming", "1 while the whole tree was not looked at yet.",
		func(_ *collector, s *tree.Stats) float64 { return oneIf(s.Warming) }),
	gauge("freshet_files_looked", "Files seen in the look at the whole tree that is under way, or was last.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.FilesLooked) }),
	gauge("freshet_files_pending", "Files whose digest is being found.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.FilesPending) }),
	gauge("freshet_index_records", "Digests remembered.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.IndexRecords) }),
	gauge("freshet_staged_uploads", "Uploads under way.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.StagedUploads) }),
	gauge("freshet_staged_bytes", "Bytes of uploads under way.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.StagedBytes) }),
	gauge("freshet_quarantined_files", "Displaced files watched for a late writer.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.QuarantinedFiles) }),
	gauge("freshet_versions_files", "Displaced files kept.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.VersionsFiles) }),
	gauge("freshet_versions_bytes", "Bytes of displaced files kept.",
		func(_ *collector, s *tree.Stats) float64 { return float64(s.VersionsBytes) }),
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe is part of prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- requestsDesc
	for _, l := range levels {
		out <- l.desc
	}
}

// Collect is part of prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.tree.Stats()
	for _, l := range levels {
		out <- prometheus.MustNewConstMetric(l.desc, l.kind, l.of(c, &s))
	}
	for row := range c.traffic.requests {
		method := "other"
		if row < len(methodNames) {
			method = methodNames[row]
		}
		for status := range c.traffic.requests[row] {
			if n := c.traffic.requests[row][status].Load(); n > 0 {
				out <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n),
					method, strconv.Itoa(status))
			}
		}
	}
}

// Metrics returns the handler of a listener of its own, for Prometheus. It must not be reachable for clients: the
// numbers say what others do.
func (s *Server) Metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{s, &s.traffic, s.config.Tree})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
