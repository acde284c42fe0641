// Package policy decides who may do what: Vault's ACL model for the whole
// product.
//
// A policy is a text in HCL or JSON that grants capabilities on path patterns
// ([Parse]). The policies that a token carries are compiled into one [ACL]
// ([Compile]). For a path the ACL finds the one pattern that rules it: an exact
// pattern if there is one, otherwise the most specific glob ("secret/*") or
// segment wildcard ("secret/+/config"). Only that pattern counts. Policies that
// hold the same pattern are joined, and deny wins in the join. What no pattern
// covers is denied.
//
// [Set] holds every policy by name, keeps compiled ACLs for the combinations of
// policies that are in use, and is what the gate asks ([Set.Decide]). Each
// answer names the policy and the pattern that decided, with a sentence for
// the person who was refused.
//
// The package stores nothing and knows nothing of tokens: policies come in,
// decisions go out. Nightporter itself ([nightporter.System] actors) is not
// decided here; the gate lets it pass.
//
// The rules are those of OpenBao and Vault, checked against 40,000 recorded
// decisions of a running server (testdata). Where we are stricter, the text
// says so: duplicate keys, nesting and size are bounded, identity values that
// hold path syntax never reach a pattern.
package policy
