//go:build nokube

package main

import "nightporter.dev/nightporter/internal/app"

// kubernetes is nothing: this binary was built without it.
func kubernetes() *app.Kubernetes { return nil }
