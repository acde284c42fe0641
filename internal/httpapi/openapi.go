package httpapi

import (
	"net/http"
	"strings"
)

// object is a JSON object of the description.
type object = map[string]any

// OpenAPIRoute is GET /api/openapi.json: a description of routes in OpenAPI 3.0.3,
// made once from the declarations of those under /api/ that have a summary. It is
// public: it describes the product, not an installation.
func OpenAPIRoute(version string, routes []Route) Route {
	doc := OpenAPI(version, routes)
	return Route{
		Method: http.MethodGet, Pattern: "/api/openapi.json", Access: Public,
		Handler: func(w http.ResponseWriter, _ *http.Request) error { return WriteJSON(w, http.StatusOK, doc) },
	}
}

// OpenAPI describes routes. The result is ready for encoding/json.
func OpenAPI(version string, routes []Route) map[string]any {
	schemas := newSchemas()
	paths := object{}
	for _, route := range routes {
		path, ok := describedPath(route)
		if !ok {
			continue
		}
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(route.Method)] = operation(route, schemas)
	}
	components := schemas.components
	components["Problem"] = schemas.structOf(typeOf(Problem{}))
	return object{
		"openapi": "3.0.3",
		"info":    object{"title": "Nightporter", "version": version},
		"paths":   paths,
		"components": object{
			"schemas":         components,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
			"responses": object{"Problem": object{
				"description": "What went wrong, by code.",
				"content":     object{"application/problem+json": object{"schema": ref("Problem")}},
			}},
		},
	}
}

// describedPath says whether a route is described, and under which path: OpenAPI
// has no {rest...}.
func describedPath(route Route) (string, bool) {
	if route.Summary == "" || route.Method == "" || !strings.HasPrefix(route.Pattern, "/api/") {
		return "", false
	}
	path := strings.TrimSuffix(route.Pattern, "{$}")
	return strings.ReplaceAll(path, "...}", "}"), true
}

func operation(route Route, schemas *schemas) object {
	op := object{"summary": route.Summary, "operationId": operationID(route)}
	var parameters []object
	for _, name := range wildcards(route.Pattern) {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	if route.Method == http.MethodPost && route.Answer == Kept {
		parameters = append(parameters, object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": maxKey}})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if route.Request != nil {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": schemas.of(typeOf(route.Request))}}}
	}
	answer := object{"description": "Done."}
	if route.Response != nil {
		answer["content"] = object{"application/json": object{"schema": schemas.of(typeOf(route.Response))}}
	}
	op["responses"] = object{"2XX": answer, "default": object{"$ref": "#/components/responses/Problem"}}
	if route.Access != Public {
		op["security"] = []object{{"token": []string{}}}
	}
	return op
}

// operationID is the action's name where the route knows it, else the route in
// words.
func operationID(route Route) string {
	words := []string{strings.ToLower(route.Method)}
	for s := range strings.SplitSeq(strings.TrimPrefix(route.Pattern, "/api/"), "/") {
		if name, ok := wildcard(s); ok {
			s = "by_" + name
		}
		words = append(words, strings.ReplaceAll(s, "-", "_"))
	}
	return strings.Join(words, "_")
}
