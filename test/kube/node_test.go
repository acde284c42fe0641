//go:build kube

package kube

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const nodeName = "simulated"

// joinNode adds a node on which nothing runs: it says of each pod what a kubelet
// would. The end of the image's tag decides what that is:
//
//	-bad    the image is never pulled
//	-crash  the container ends by itself, again and again
//
// Everything else is ready soon after.
func (c *cluster) joinNode() error {
	ctx := context.Background()
	amounts := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("500"),
	}
	node, err := c.api.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: nodeName, Labels: map[string]string{"kubernetes.io/hostname": nodeName, "kubernetes.io/os": "linux"},
	}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	node.Status = corev1.NodeStatus{Capacity: amounts, Allocatable: amounts}
	if err := c.heartbeat(ctx, node); err != nil {
		return err
	}
	go c.kubelet(ctx) // ends with the process, as the cluster does
	return nil
}

func (c *cluster) heartbeat(ctx context.Context, node *corev1.Node) error {
	now := metav1.Now()
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Simulated", LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	_, err := c.api.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

// kubelet looks at its pods again and again, and says now and then that it lives.
func (c *cluster) kubelet(ctx context.Context) {
	last := time.Now()
	for range time.Tick(50 * time.Millisecond) {
		if time.Since(last) > 10*time.Second {
			last = time.Now()
			node, err := c.api.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
			if err == nil {
				_ = c.heartbeat(ctx, node)
			}
		}
		pods, err := c.api.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + nodeName, ResourceVersion: "0"})
		if err != nil {
			fmt.Fprintln(os.Stderr, "the simulated node cannot list its pods:", err)
			continue
		}
		for _, p := range pods.Items {
			c.play(ctx, &p)
		}
	}
}

func (c *cluster) play(ctx context.Context, p *corev1.Pod) {
	if p.DeletionTimestamp != nil {
		none := int64(0)
		_ = c.api.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &none})
		return
	}
	if len(p.Status.ContainerStatuses) > 0 {
		return
	}
	now := metav1.Now()
	ready, phase := corev1.ConditionTrue, corev1.PodRunning
	p.Status.PodIP, p.Status.StartTime = "127.0.0.1", &now
	for _, container := range p.Spec.Containers {
		s := corev1.ContainerStatus{Name: container.Name, Image: container.Image, ImageID: container.Image}
		switch _, fate, _ := strings.Cut(container.Image[strings.LastIndexByte(container.Image, ':')+1:], "-"); fate {
		case "bad":
			ready, phase = corev1.ConditionFalse, corev1.PodPending
			s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "manifest unknown: there is no such image"}
		case "crash":
			ready, s.RestartCount = corev1.ConditionFalse, 3
			s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
			s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: now, FinishedAt: now}
		default:
			s.Ready, s.State.Running = true, &corev1.ContainerStateRunning{StartedAt: now}
		}
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, s)
	}
	p.Status.Phase = phase
	var conditions []corev1.PodCondition
	for _, old := range p.Status.Conditions {
		if old.Type == corev1.PodScheduled {
			conditions = append(conditions, old)
		}
	}
	for _, kind := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		conditions = append(conditions, corev1.PodCondition{Type: kind, Status: ready, LastTransitionTime: now})
	}
	p.Status.Conditions = conditions
	_, _ = c.api.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, p, metav1.UpdateOptions{}) // the next look tries again
}
