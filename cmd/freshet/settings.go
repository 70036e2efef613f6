package main

import (
	"strings"
	"time"

	"freshet/fileserver"
	"freshet/fileserver/tree"
)

// A config is everything that an operator may set.
type config struct {
	Listen               string
	Write, Public        boolean
	Users                string
	PlainPasswords       boolean
	Rules                rules
	Symlinks             string
	State                string
	Hosts                list
	Log                  string
	Metrics              string
	RequirePreconditions boolean
	Cache                cacheRules
	Hash                 algorithm

	UploadSize, BodyMemory, CacheMemory, HeaderBytes, BodyProgress size
	StageSize, VersionsSize                                        share
	Uploads, VersionsFiles, Connections                            count
	Versions, HashWait, HeaderTime, BodyIdleTime, BufferTime       time.Duration
	IdleTime, ShutdownTime, Rescan                                 time.Duration

	again  func() (*config, error) // reads the same sources once more
	source map[string]string       // setting -> where it was set: "--listen", "FRESHET_LISTEN", "a.toml:3"
}

// defaults returns the config of a server that nothing was said about.
func defaults() *config {
	return &config{
		Listen:        "127.0.0.1:8080",
		Symlinks:      string(tree.SymlinksInside),
		Log:           "text",
		UploadSize:    size(tree.UploadBytesMax),
		Uploads:       tree.UploadsMax,
		StageSize:     share{percent: int(tree.StageShareMax * 100)},
		BodyMemory:    size(tree.BodyBytesMax),
		CacheMemory:   size(tree.CacheBytesMax),
		Versions:      tree.VersionsAgeMax,
		VersionsSize:  share{percent: int(tree.VersionsShareMax * 100)},
		VersionsFiles: tree.VersionsFilesMax,
		HashWait:      tree.HashWaitMax,
		Rescan:        tree.RescanInterval,
		HeaderBytes:   fileserver.HeaderBytesMax,
		HeaderTime:    fileserver.HeaderTimeMax,
		BodyIdleTime:  fileserver.BodyIdleTimeMax,
		BodyProgress:  fileserver.BodyProgressBytesMin,
		BufferTime:    fileserver.BufferTimeMax,
		IdleTime:      fileserver.IdleTimeMax,
		Connections:   fileserver.ConnectionsMax,
		ShutdownTime:  fileserver.ShutdownTimeMax,
		source:        map[string]string{},
	}
}

// A setting is one line of the table that flags, environment, file and help are made from.
type setting struct {
	key   string
	flag  bool // can be given on the command line
	value value
	help  string // one line, after which the default is printed
}

// environment returns the name of the variable that sets s.
func (s *setting) environment() string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(s.key, "-", "_"))
}

const environmentPrefix = "FRESHET_"

// settings returns the table, its values being the fields of c.
func settings(c *config) []setting {
	symlinks := []string{string(tree.SymlinksNever), string(tree.SymlinksInside), string(tree.SymlinksAnywhere)}
	return []setting{
		{"listen", true, word{&c.Listen, "address"}, "`ADDRESS` to listen on"},
		{"write", true, &c.Write, "allow changes"},
		{"public", true, &c.Public, "no password to read, nor, without users, to write"},
		{"users", true, word{&c.Users, "file"}, "`FILE` of users and their passwords: freshet user add FILE NAME"},
		{"rule", false, &c.Rules, "who may do what where: a [[rule]] of the file has path, who and can"},
		{"plain-passwords", false, &c.PlainPasswords, "take passwords over the network without encryption"},
		{"symlinks", true, choice{&c.Symlinks, symlinks}, "links to follow: `POLICY` is never, inside or anywhere"},
		{"host", true, &c.Hosts, "`NAME` of the server, besides localhost, *.local and addresses; repeatable"},
		{"state", true, word{&c.State, "folder"}, "`FOLDER` for what is kept, instead of DIR/.freshet or ~/.local/state/freshet"},
		{"log", true, choice{&c.Log, []string{"text", "json"}}, "`FORM` of the log: text or json"},
		{"metrics", false, word{&c.Metrics, "address"}, "`ADDRESS` of a second listener, for Prometheus"},
		{"require-preconditions", false, &c.RequirePreconditions, "refuse to replace or remove without a condition (428)"},
		{"cache", false, &c.Cache, "list of \"PATTERN=VALUE\": Cache-Control of files, the first that matches wins"},
		{"hash", false, &c.Hash, "what tags are made by: xxh3, or blake3 against forgers; fixed for each root"},

		{"upload-size", false, &c.UploadSize, "largest upload"},
		{"uploads", false, &c.Uploads, "uploads at once"},
		{"stage-size", false, &c.StageSize, "disk that uploads under way may take"},
		{"body-memory", false, &c.BodyMemory, "buffers for files being sent"},
		{"cache-memory", false, &c.CacheMemory, "small files kept in memory"},
		{"versions", false, span{&c.Versions, true}, "how long what was replaced or removed is kept; 0 keeps nothing"},
		{"versions-size", false, &c.VersionsSize, "disk that kept files may take, oldest go first"},
		{"versions-files", false, &c.VersionsFiles, "kept files"},
		{"hash-wait", false, span{&c.HashWait, false}, "how long a request waits for a tag before it is answered without"},
		{"rescan", false, span{&c.Rescan, false}, "between two looks at everything, for changes that nothing told of"},

		{"connections", false, &c.Connections, "connections at once; half of the open files at most"},
		{"header-bytes", false, &c.HeaderBytes, "a request's line and header"},
		{"header-time", false, span{&c.HeaderTime, false}, "for a header to arrive"},
		{"body-idle-time", false, span{&c.BodyIdleTime, false}, "in which a body, in or out, must move by body-progress"},
		{"body-progress", false, &c.BodyProgress, "fewer bytes count as none"},
		{"buffer-time", false, span{&c.BufferTime, false}, "that a large file waits for one of the buffers of body-memory"},
		{"idle-time", false, span{&c.IdleTime, false}, "between two requests on a connection"},
		{"shutdown-time", false, span{&c.ShutdownTime, false}, "for requests under way when the server stops"},
	}
}
