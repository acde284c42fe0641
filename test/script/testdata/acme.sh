# Installs acme's nightporter in the present folder, as its two people.
set -e
nightporter init --json > made.json
sed "s#FORGE#$FORGE#" "$SOURCE/test/script/testdata/acme.yaml" >> nightporter.yaml
