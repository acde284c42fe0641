# Computes DORA's five metrics again from the rows that they came with:
#
#   nightporter service dora ledger --json | jq -f dora.jq
#
# docs/services.md has the definitions. Times are in seconds.

def seconds: if . == null then null else
  capture("^(?<s>[^.Z]+)(\\.(?<f>[0-9]+))?Z$") | ((.s + "Z") | fromdate) + (if .f then ("0." + .f) | tonumber else 0 end) end;
def median: if length == 0 then null else sort | (.[((length - 1) / 2) | floor] + .[(length / 2) | floor]) / 2 end;
def ratio($of): if $of == 0 then null else . / $of end;

. as $d
| ($d.to | seconds) as $to
| [$d.deployments[] | select(.kind != "rollback")] as $all
| def of($id): [$d.incidents[] | select(.deployment == $id)];
  def failed($at): (.healthy | not) or ([of(.id)[] | select((.opened_at | seconds) <= $at)] | length > 0);
  [$all[] | select(failed($to))] as $failed
| {
    deployment_frequency: ([$all[] | select(.healthy)] | length / (($to - ($d.from | seconds)) / 86400)),
    change_lead_time: ([$d.changes[] | select(.committed_at) | (.finished_at | seconds) - (.committed_at | seconds)] | median),
    change_fail_rate: ($failed | length | ratio($all | length)),
    failed_deployment_recovery_time: (
      [$failed[] | . as $f | of(.id) | select(all(.[]; .closed_at)) | ([.[].closed_at | seconds] | max) - ($f.finished_at | seconds)] | median),
    deployment_rework_rate: (
      [$all | to_entries[] | . as $e
        | ([$d.before[], $all[:$e.key][]] | map(select(.environment == $e.value.environment)) | last) as $prev
        | select($e.value.hotfix or ($prev != null and ($prev | failed($e.value.finished_at | seconds))))]
      | length | ratio($all | length))
  }
