package mysql

import (
	"context"
	"strings"

	"nightporter.dev/nightporter/provider/database"
)

var _ database.SessionLister = (*DB)(nil)

// Sessions lists the connections of an account. Without PROCESS a server shows
// only our own, so that the list is empty.
func (db *DB) Sessions(ctx context.Context, username string) ([]database.Session, error) {
	if strings.ContainsRune(username, 0) {
		return nil, nil
	}
	var sessions []database.Session
	err := db.session(ctx, func(ctx context.Context, c *conn) error {
		query := "SELECT ID, HOST, COALESCE(DB, ''), COMMAND FROM information_schema.PROCESSLIST WHERE USER = " +
			quote(username) + " ORDER BY ID"
		return each(ctx, c, query, func(scan func(...any) error) error {
			var s database.Session
			err := scan(&s.ID, &s.Client, &s.Database, &s.State)
			if i := strings.LastIndexByte(s.Client, ':'); i > 0 {
				s.Client = s.Client[:i] // without the client's port
			}
			sessions = append(sessions, s)
			return err
		})
	})
	return sessions, err
}
