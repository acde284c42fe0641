package dashboards

// generatedPrefix begins the uid of every generated dashboard.
const generatedPrefix = "nightporter-"

// made is a generated dashboard.
type made struct {
	uid  string
	json []byte
}

// allGenerated are the dashboards that the catalog calls for.
func (d *Dashboards) allGenerated(string) []made { return nil }

func (d *Dashboards) generated(workspace, uid string) (made, bool) {
	for _, g := range d.allGenerated(workspace) {
		if g.uid == uid {
			return g, true
		}
	}
	return made{}, false
}
