package telemetry

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
)

// RegisterProcess adds what an operator asks of any Go program: memory as the
// kernel and as the runtime see it, goroutines, open files, CPU time, when it
// started and what was built. The names are those of Prometheus's client where
// it has one. Values that the system does not tell are left out, not zero.
func RegisterProcess(r *Registry, version string, started time.Time) {
	goMetric := func(name string) func() []Sample {
		return func() []Sample {
			s := []metrics.Sample{{Name: name}}
			metrics.Read(s)
			switch s[0].Value.Kind() {
			case metrics.KindUint64:
				return One(float64(s[0].Value.Uint64()))
			case metrics.KindFloat64:
				return One(s[0].Value.Float64())
			}
			return nil
		}
	}
	r.GaugeFunc("go_goroutines", "Goroutines that exist.", goMetric("/sched/goroutines:goroutines"))
	r.GaugeFunc("go_heap_objects_bytes", "Memory of live and not yet swept objects.", goMetric("/memory/classes/heap/objects:bytes"))
	r.GaugeFunc("go_memory_total_bytes", "Memory that the runtime took from the system.", goMetric("/memory/classes/total:bytes"))
	r.CounterFunc("go_gc_cycles_total", "Garbage collections.", goMetric("/gc/cycles/total:gc-cycles"))
	r.CounterFunc("go_cpu_seconds_total", "CPU time that the runtime estimates for Go code and itself.", goMetric("/cpu/classes/total:cpu-seconds"))

	r.GaugeFunc("process_resident_memory_bytes", "VmRSS: resident memory, with the pages of the binary.", status("VmRSS"))
	r.GaugeFunc("process_resident_anonymous_bytes", "RssAnon: resident memory that is ours alone.", status("RssAnon"))
	r.GaugeFunc("process_open_fds", "Open file descriptors.", func() []Sample {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return nil
		}
		return One(float64(len(entries) - 1)) // one of them reads the folder
	})
	r.GaugeFunc("process_start_time_seconds", "When the process started, in Unix time.", func() []Sample {
		return One(float64(started.UnixMilli()) / 1000)
	})
	revision := buildRevision()
	r.GaugeFunc("nightporter_build_info", "1, with what was built.", func() []Sample {
		return []Sample{{Labels: []string{version, revision, runtime.Version()}, Value: 1}}
	}, "version", "revision", "go")
}

// status reads one line of /proc/self/status, in bytes.
func status(field string) func() []Sample {
	return func() []Sample {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return nil
		}
		n, ok := statusBytes(b, field)
		if !ok {
			return nil
		}
		return One(float64(n))
	}
}

// statusBytes finds "Field:\t  1234 kB" (proc(5)) and returns it in bytes.
func statusBytes(status []byte, field string) (uint64, bool) {
	for l := range bytes.Lines(status) {
		name, rest, ok := bytes.Cut(l, []byte(":"))
		if !ok || string(name) != field {
			continue
		}
		kb, isKB := bytes.CutSuffix(bytes.TrimSpace(rest), []byte(" kB"))
		n, err := strconv.ParseUint(string(kb), 10, 54)
		return n * 1024, isKB && err == nil
	}
	return 0, false
}

func buildRevision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
