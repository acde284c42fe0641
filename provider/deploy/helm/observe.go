package helm

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Observe implements [deploy.Deployer].
func (d *Deployer) Observe(ctx context.Context, t deploy.Token) (deploy.Observation, error) {
	at, label, err := d.parse(t)
	if err != nil {
		return deploy.Observation{}, err
	}
	b, e, err := at.entry(ctx, t, label)
	if err != nil {
		return deploy.Observation{}, err
	}
	o, err := d.look(ctx, at, b, e)
	if err == nil && o.State == deploy.Healthy && !e.Healthy {
		// Running would like to know. It is no evidence, and may be lost.
		e.Healthy = true
		if err := at.save(ctx, b); err != nil {
			d.cfg.Log.Debug("not noted as healthy", "release", at.Release, "error", err)
		}
	}
	return o, err
}

// look sees how a start is, from the objects in the cluster.
func (d *Deployer) look(ctx context.Context, s *site, b *book, e *entry) (deploy.Observation, error) {
	now := d.cfg.Now()
	o := deploy.Observation{
		Role:     e.Role,
		Evidence: nightporter.Evidence{ObservedAt: now, Source: fmt.Sprintf("Kubernetes, release %s in namespace %s", s.Release, s.Namespace)},
	}
	switch {
	case e.Role == deploy.Ended || e.Role == deploy.Draining:
		o.State, o.Message = deploy.Gone, "was ended"
		return o, nil
	case e.Refused != "":
		o.State, o.Message = deploy.Failed, e.Refused
		return o, nil
	}
	last, err := s.last()
	if err != nil {
		return o, err
	}
	if ours := instanceOf(last); ours != e.Label {
		return d.overtaken(ctx, s, b, e, o, ours)
	}
	objects, err := parse(strings.NewReader(last.Manifest))
	if err != nil {
		return o, err
	}
	r, err := s.rollout(ctx, objects)
	if err != nil {
		return o, err
	}
	pods, err := s.pods(ctx, e.Label)
	if err != nil {
		return o, err
	}
	p := why(pods)
	late := now.Sub(e.StartedAt) >= e.Within
	switch {
	case r.missing != "":
		o.State, o.Message = deploy.Failed, r.missing+" is not there any more"
	case r.asleep && !late:
		o.State, o.Message = deploy.Starting, "no replica is wanted: nothing shows that it works"
	case r.asleep:
		// A version that nobody saw running is not a good one, and not a bad one.
		o.State, o.Message, o.Retryable = deploy.Failed, "no replica was wanted: nothing shows that it works", true
	case r.done:
		o.State, o.Message = deploy.Healthy, fmt.Sprintf("%d of %d pods are ready", r.ready, r.wanted)
		d.ask(ctx, s, e, pods, &o)
	case e.Healthy && r.ready > 0 && e.Role == deploy.Serving:
		o.State, o.Message = deploy.Healthy, fmt.Sprintf("%d of %d pods are ready", r.ready, r.wanted)
	case p.hopeless:
		o.State, o.Message = deploy.Failed, p.message
	case r.failed != "":
		o.State, o.Message, o.Retryable = deploy.Failed, join(r.failed, p.message), p.network
	case late && e.Role == deploy.Serving && e.Healthy:
		o.State, o.Message = deploy.Failed, join("no pod is ready any more", p.message)
	case late:
		o.State, o.Message, o.Retryable = deploy.Failed, join(fmt.Sprintf("not healthy within %s", e.Within), join(r.waits, p.message)), p.network
	default:
		o.State, o.Message = deploy.Starting, join(r.waits, p.message)
	}
	if e.Healed != "" && o.State != deploy.Healthy {
		o.Message += " (" + e.Healed + ")"
	}
	if o.State != deploy.Healthy {
		o.Lines = s.story(ctx, pods, e.Label)
	}
	return o, nil
}

// overtaken looks at a start that is not what Helm holds now.
func (d *Deployer) overtaken(ctx context.Context, s *site, b *book, e *entry, o deploy.Observation, by string) (deploy.Observation, error) {
	newer := b.byLabel(by)
	if newer == nil || e.Role != deploy.Serving {
		o.State, o.Message = deploy.Failed, "something else was deployed over it"
		if newer == nil {
			o.Message = "somebody deployed over it, or uninstalled it, with helm"
		}
		return o, nil
	}
	pods, err := s.pods(ctx, "")
	if err != nil {
		return o, err
	}
	ready := 0
	for _, p := range pods {
		if isReady(p) {
			ready++
		}
	}
	o.State, o.Message = deploy.Healthy, fmt.Sprintf("%d pods are ready while %s comes up", ready, newer.Version)
	if ready == 0 {
		o.State, o.Message = deploy.Failed, "no pod is ready"
	}
	return o, nil
}

// rollout is how far the workloads of a release are.
type rollout struct {
	done          bool
	asleep        bool // nothing wants a replica
	wanted, ready int32
	missing       string // a workload that is not there
	failed        string // what Kubernetes itself gave up
	waits         string // what it waits for
}

// rollout compares each workload's status with what it should be, as `kubectl
// rollout status` does.
func (s *site) rollout(ctx context.Context, objects []map[string]any) (rollout, error) {
	r := rollout{done: true}
	for _, o := range objects {
		if podTemplate(o) == nil {
			continue
		}
		w, err := s.workload(ctx, o)
		if err != nil {
			return r, err
		}
		if w == nil {
			r.missing, r.done = name(o), false
			continue
		}
		r.wanted += w.wanted
		r.ready += w.ready
		switch {
		case w.failed != "":
			r.failed, r.done = name(o)+": "+w.failed, false
		case !w.done():
			r.waits, r.done = fmt.Sprintf("%s has %d of %d new pods, %d of them ready", name(o), w.updated, w.wanted, min(w.ready, w.updated)), false
		}
	}
	if r.wanted == 0 && r.missing == "" {
		r.asleep, r.done = true, false
	}
	return r, nil
}

// pods lists the pods of a start, or of the whole release when label is "".
func (s *site) pods(ctx context.Context, label string) ([]corev1.Pod, error) {
	selector := labelRelease + "=" + s.Release + "," + labelEnvironment + "=" + s.environment
	if label != "" {
		selector += "," + labelInstance + "=" + label
	}
	list, err := s.Client.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, s.fault(err, "list the pods of %s", s.Release)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

func alive(p corev1.Pod) bool {
	return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

func isReady(p corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}

// drained says whether nothing is left of the starts that were told to end.
func (s *site) drained(ctx context.Context, b *book) (deploy.Progress, error) {
	pods, err := s.pods(ctx, "")
	if err != nil {
		return "", err
	}
	left := map[string]bool{}
	for _, p := range pods {
		if alive(p) {
			left[p.Labels[labelInstance]] = true
		}
	}
	progress, changed := deploy.Done, false
	for _, e := range b.Entries {
		switch {
		case e.Role != deploy.Draining:
		case left[e.Label]:
			progress = deploy.Pending
		default:
			e.Role, changed = deploy.Ended, true
		}
	}
	if !changed {
		return progress, nil
	}
	return progress, s.save(ctx, b)
}

// anything says whether the workloads of the current revision are there.
func (s *site) anything(ctx context.Context, e *entry) (bool, error) {
	last, err := s.last()
	if err != nil || last == nil {
		return false, err
	}
	objects, err := parse(strings.NewReader(last.Manifest))
	if err != nil {
		return false, err
	}
	r, err := s.rollout(ctx, objects)
	return r.missing == "", err
}

// reason is why pods are not ready.
type reason struct {
	message  string
	hopeless bool // waiting will not help
	network  bool // it says nothing about the version
}

// crashes is how often a container may end by itself before waiting is called
// hopeless: a service may well need a moment until its database answers.
const crashes = 3

// why reads it from the containers.
func why(pods []corev1.Pod) (r reason) {
	for _, p := range pods {
		if isReady(p) || p.DeletionTimestamp != nil {
			continue
		}
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			w := c.State.Waiting
			switch {
			case w == nil && c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
				r.message = fmt.Sprintf("%s exited with status %d", c.Name, c.State.Terminated.ExitCode)
			case w == nil:
			case w.Reason == "CrashLoopBackOff":
				r.message = c.Name + " ends by itself again and again"
				if t := c.LastTerminationState.Terminated; t != nil {
					r.message = fmt.Sprintf("%s exited with status %d, %d times", c.Name, t.ExitCode, c.RestartCount)
				}
				r.hopeless = c.RestartCount >= crashes
			case slices.Contains([]string{"InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull"}, w.Reason):
				r.message, r.hopeless = clip(fmt.Sprintf("%s: %s: %s", c.Name, w.Reason, w.Message)), true
			case w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff":
				r.message, r.network = clip(fmt.Sprintf("%s: %s: %s", c.Name, w.Reason, w.Message)), networkWords(w.Message)
			case w.Reason != "ContainerCreating" && w.Reason != "PodInitializing":
				r.message = clip(fmt.Sprintf("%s: %s %s", c.Name, w.Reason, w.Message))
			}
			if r.hopeless {
				return r
			}
		}
		for _, c := range p.Status.Conditions {
			if r.message == "" && c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				r.message, r.network = clip("no node takes the pod: "+c.Message), true
			}
		}
	}
	return r
}

// networkWords says that an image was not pulled because nobody answered.
func networkWords(message string) bool {
	for _, word := range []string{"timeout", "connection refused", "no such host", "connection reset", "TLS handshake", "i/o", "500 ", "502 ", "503 ", "504 ", "429 ", "toomanyrequests"} {
		if strings.Contains(message, word) {
			return true
		}
	}
	return false
}

// askTimeout bounds the question to a pod, which goes through the cluster's API.
const askTimeout = 3 * time.Second

// ask has one ready pod say which version it is. A cluster that does not let us ask
// leaves it at what the kubelet found.
func (d *Deployer) ask(ctx context.Context, s *site, e *entry, pods []corev1.Pod, o *deploy.Observation) {
	i := slices.IndexFunc(pods, isReady)
	if e.HTTP == "" || i < 0 {
		return
	}
	port := portOf(pods[i])
	if port == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	path, query, _ := strings.Cut(e.HTTP, "?")
	if query != "" {
		return // the proxy would take it for a part of the path
	}
	text, err := s.Client.CoreV1().Pods(s.Namespace).ProxyGet("http", pods[i].Name, port, path, nil).DoRaw(ctx)
	if err != nil {
		d.cfg.Log.Debug("the pod could not be asked", "pod", pods[i].Name, "error", err)
		return
	}
	var said struct{ Version, Commit string }
	if json.Unmarshal(text, &said) != nil {
		return
	}
	want := e.Version.String()
	switch {
	case said.Version != "":
		o.Reported = clip(said.Version)
		if strings.TrimPrefix(said.Version, "v") != want {
			o.State, o.Message = deploy.Failed, fmt.Sprintf("answers as version %s, not %s", clip(said.Version), want)
		}
	case said.Commit != "":
		o.Reported = clip(said.Commit)
		if len(said.Commit) < 7 || !strings.HasPrefix(e.Commit, said.Commit) {
			o.State, o.Message = deploy.Failed, fmt.Sprintf("answers as commit %s, not %s", clip(said.Commit), e.Commit)
		}
	}
	if o.Reported != "" {
		o.Evidence.Source += ", and GET " + path + " of the pod " + pods[i].Name
	}
}

// portOf is where a pod's readiness is asked, or its first port.
func portOf(p corev1.Pod) string {
	for _, c := range p.Spec.Containers {
		if probe := c.ReadinessProbe; probe != nil && probe.HTTPGet != nil {
			port := probe.HTTPGet.Port
			for _, named := range c.Ports {
				if named.Name == port.StrVal && port.StrVal != "" {
					return fmt.Sprint(named.ContainerPort)
				}
			}
			return port.String()
		}
	}
	for _, c := range p.Spec.Containers {
		if len(c.Ports) > 0 {
			return fmt.Sprint(c.Ports[0].ContainerPort)
		}
	}
	return ""
}

// story is what the cluster has to say about a start: its warnings, and the last
// words of a pod that is not ready.
func (s *site) story(ctx context.Context, pods []corev1.Pod, label string) []string {
	const most = deploy.LogLines / 2
	var lines []string
	events, err := s.Client.CoreV1().Events(s.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning", Limit: 500})
	if err == nil {
		mine := map[string]bool{}
		for _, p := range pods {
			mine[p.Name] = true
		}
		for _, e := range events.Items {
			if e.Type == corev1.EventTypeWarning && mine[e.InvolvedObject.Name] {
				lines = append(lines, clip(fmt.Sprintf("%s: %s: %s", e.InvolvedObject.Name, e.Reason, e.Message)))
			}
		}
	}
	lines = lastLines(lines, min(most, len(lines)))
	return append(lines, s.lastWords(ctx, pods, deploy.LogLines-len(lines))...)
}

// maxLogBytes bounds what is read of one pod's log.
const maxLogBytes = 64 << 10

// lastWords reads the end of the log of a pod, rather of one that is not ready.
func (s *site) lastWords(ctx context.Context, pods []corev1.Pod, n int) []string {
	if len(pods) == 0 {
		return nil
	}
	pod := pods[0]
	if i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return !isReady(p) }); i >= 0 {
		pod = pods[i]
	}
	container, ended := "", false
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if container == "" || !c.Ready && c.State.Running == nil {
			container, ended = c.Name, c.State.Running == nil && c.LastTerminationState.Terminated != nil
		}
	}
	tail, limit := int64(n), int64(maxLogBytes)
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	text, err := s.Client.CoreV1().Pods(s.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, Previous: ended, TailLines: &tail, LimitBytes: &limit,
	}).DoRaw(ctx)
	if err != nil || len(text) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimRight(strings.ToValidUTF8(string(text), "?"), "\n"), "\n")
	for i := range lines {
		lines[i] = clip(lines[i])
	}
	return lastLines(lines, min(n, len(lines)))
}

func join(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + ": " + b
}
