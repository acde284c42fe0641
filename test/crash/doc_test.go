// Package crash kills the house at every point where a crash could hurt, and
// asks the world afterwards whether it did.
//
// The house here is this test binary, started again as a small server
// (child_test.go): the real app on a real store, GitHub's client, and real
// processes as deployments. Around it stand a GitHub with real bare git
// repositories and a client that lists the board and makes tokens all the time
// (world_test.go). The story (story_test.go) is two merges, an approval, and a
// version that is not healthy.
//
// Nobody places fault points by hand. The gate names one before and one after
// each kind of commit; the providers are wrapped so that each of their verbs has
// two (points_test.go). A first run records which points the story passes; then,
// for each of them, the house kills itself there with SIGKILL, is started again,
// and the story must end as if nothing had happened. Points that are registered
// and never passed are a failure: they would prove nothing.
//
// The judge (judge_test.go) does not read our tables. It reads /proc, what the
// services wrote down when they were started, git, and the audit log's tree
// together with checkpoints that were handed out before the crash.
//
// NIGHTPORTER_CRASH=full also kills at later passes of each point, at random
// moments, and at all of them on PostgreSQL.
package crash
