package scan

import (
	"net/url"
	"regexp"
	"strings"
)

// The rules of our own: passwords of databases, which the published rules miss
// because they look like nothing in particular. What tells them is what stands
// around them.

// ownCount is how many there are; the rule count of a run is checked against it.
const ownCount = 9

func ownRules() []*rule {
	return []*rule{
		{
			// RFC 3986 §3.2.1: what stands before @ in a URL of a database.
			id: "database-url", rank: ofDatabase, keywords: []string{"://"},
			pattern: regexp.MustCompile("(?i)\\b(?P<kind>postgres(?:ql)?|mysql2?|mariadb|cockroachdb|redshift|sqlserver|mssql|mongodb|rediss?|amqps?)" +
				"(?:\\+[a-z0-9]+)*://(?P<user>[^\\s:/@\"'`<>]*):(?P<secret>[^\\s/\"'`]+)@(?P<host>\\[[0-9a-f:]+\\]|[^\\s/\"'`?,:]+)(?::(?P<port>\\d+))?(?:/(?P<database>[^\\s\"'`?&<>]*))?"),
			judge: judgeURL,
		},
		{
			// github.com/go-sql-driver/mysql: user:password@protocol(address)/name
			id: "database-dsn", rank: ofDatabase, keywords: []string{"@tcp(", "@unix(", "@cloudsql"},
			pattern: regexp.MustCompile("(?P<user>[\\w.-]+):(?P<secret>[^\\s\"'`]+)@(?:tcp|unix|cloudsql[\\w-]*)\\((?P<address>[^)\\s]*)\\)/?(?P<database>[\\w-]*)"),
			judge:   judgeDSN,
		},
		{
			// PostgreSQL manual §34.1.1.1, ADO.NET connection strings, JDBC
			// parameters: password=… beside host=, user= or database=.
			id: "database-keywords", rank: ofDatabase, keywords: []string{"password", "pwd"},
			pattern: regexp.MustCompile("(?i)\\b(?:password|pwd)\\s?=\\s?(?:'(?P<secret>(?:[^'\\\\\\n]|\\\\.)+)'|(?P<secret>[^\\s;&\"'`,)\\\\]+))"),
			judge:   judgeKeywords,
		},
		{
			// PostgreSQL manual §34.16: hostname:port:database:username:password
			id: "database-pgpass", rank: ofDatabase, paths: regexp.MustCompile(`(?:^|/)\.?pgpass(?:\.conf)?$`),
			pattern: regexp.MustCompile(`(?m)^(?P<host>[^:#\s]+):(?P<port>\d+|\*):(?P<database>[^:\n]*):(?P<user>[^:\n]*):(?P<secret>\S+)$`),
			judge: func(m groups) (*Login, bool) {
				return &Login{"postgres", m.get("user"), m.get("host"), m.get("port"), m.get("database")}, !placeholder(m.get("secret"))
			},
		},
		{
			// CREATE ROLE … PASSWORD '…'; CREATE USER … IDENTIFIED BY '…'
			id: "database-statement", rank: ofDatabase, keywords: []string{"password", "identified"},
			pattern: regexp.MustCompile(`(?i)\b(?:create|alter|grant)\s[^;\n]{0,200}?\b(?:user|role|to|login)\s[^;\n]{0,200}?\b(?:password|identified\s+(?:with\s+\w+\s+)?by)\s+'(?P<secret>[^'\n]{4,200})'`),
			judge:   judgeStatement,
		},
		{
			// mysql -u app -pPASSWORD: joined to the option, MySQL manual §6.2.2.
			id: "database-command", rank: ofDatabase, keywords: []string{"mysql", "mariadb"},
			pattern: regexp.MustCompile("\\b(?:mysql|mysqldump|mysqladmin|mysqlimport|mariadb|mariadb-dump|mariadb-admin)\\b[^\\n|;&]*?\\s(?:-p|--password[= ])(?:'(?P<secret>[^'\\n]+)'|\"(?P<secret>[^\"\\n]+)\"|(?P<secret>[^\\s'\"`$]+))"),
			judge:   judgeCommand,
		},
		{
			// A key's name ends in password, and a value follows it in quotes.
			id: "password-quoted", rank: ofKey, keywords: passwordWords,
			pattern: regexp.MustCompile("(?P<key>" + passwordKey + ")[\"']?\\]?\\s{0,8}(?::=|=>|=|:)\\s{0,8}(?:\"(?P<secret>[^\"\\n]{1,200})\"|'(?P<secret>[^'\\n]{1,200})')"),
			judge:   judgeQuoted,
		},
		{
			// The same without quotes, in files where that is how values stand.
			id: "password-plain", rank: ofKey, keywords: passwordWords,
			paths:   regexp.MustCompile(`(?i)(?:\.(?:ya?ml|properties|ini|cnf|conf|cfg|sh|bash|env|toml)|(?:^|/)\.?env(?:\.[\w.-]+)?|(?:^|/)(?:dockerfile|\.?envrc|my\.cnf|\.npmrc)[\w.-]*)$`),
			pattern: regexp.MustCompile("(?m)(?:^|[\\s;])(?P<key>" + passwordKey + ")(?:[ \\t]*=[ \\t]*|:[ \\t]+)(?P<secret>[^\\s\"'`!&{}\\[\\]|>@%#,$(][^\\s\"'`]{0,199})[ \\t]*(?:#.*)?$"),
			judge:   judgePlain,
		},
		{
			// Kubernetes: name: DB_PASSWORD, and on the next line value: …
			id: "password-env", rank: ofKey, keywords: passwordWords, paths: regexp.MustCompile(`(?i)\.(?:ya?ml|json|tpl)$`),
			pattern: regexp.MustCompile("[\"']?name[\"']?:\\s*[\"']?(?P<key>" + passwordKey + ")[\"']?,?\\s*\\n\\s*[\"']?value[\"']?:[ \\t]*(?:\"(?P<secret>[^\"\\n]{1,200})\"|'(?P<secret>[^'\\n]{1,200})'|(?P<secret>[^\\s\"'`!&{}\\[\\]|>@%#,$][^\\s\"'`]{0,199}))"),
			judge:   judgeQuoted,
		},
	}
}

// passwordWords are in every passwordKey.
var passwordWords = []string{"pass", "pwd"}

// passwordKey is a name that ends in password: db_password, spring.datasource.password,
// PGPASSWORD, DB_PASS; not bypass, password_file or passwordSecretRef.
const passwordKey = `(?i:[\w.-]{0,60}(?:password|passwd|passphrase)|(?:[\w.-]{0,60}[_.-])?(?:pass|pwd))`

func judgeURL(m groups) (*Login, bool) {
	l := &Login{strings.ToLower(m.get("kind")), m.get("user"), m.get("host"), m.get("port"), m.get("database")}
	switch l.Kind {
	case "postgresql":
		l.Kind = "postgres"
	case "mysql2", "mariadb":
		l.Kind = "mysql"
	}
	secret := m.get("secret")
	if plain, err := url.PathUnescape(secret); err == nil {
		secret = plain
	}
	return l, !placeholder(secret) && !template(l.User) && !everyday(secret, l.User, l.Host)
}

func judgeDSN(m groups) (*Login, bool) {
	host, port, _ := strings.Cut(m.get("address"), ":")
	l := &Login{"mysql", m.get("user"), host, port, m.get("database")}
	return l, !placeholder(m.get("secret")) && !everyday(m.get("secret"), l.User, host)
}

// beside finds the other keywords on a line.
var beside = regexp.MustCompile("(?i)\\b(host|hostaddr|server|data source|port|dbname|database|initial catalog|user id|username|user|uid)\\s?=\\s?'?([^\\s;&\"'`,)]+)")

var jdbc = regexp.MustCompile(`(?i)jdbc:(postgresql|mysql|mariadb|sqlserver)://([^/\s:"';]+)(?::(\d+))?(?:[/;]([\w-]*))?`)

func judgeKeywords(m groups) (*Login, bool) {
	l, secret := Login{}, m.get("secret")
	for _, part := range beside.FindAllStringSubmatch(m.line(), -1) {
		switch strings.ToLower(part[1]) {
		case "host", "hostaddr", "server", "data source":
			l.Host = part[2]
		case "port":
			l.Port = part[2]
		case "dbname":
			l.Kind, l.Database = "postgres", part[2]
		case "database", "initial catalog":
			l.Database = part[2]
		default:
			l.User = part[2]
		}
	}
	if j := jdbc.FindStringSubmatch(m.line()); j != nil {
		l.Kind, l.Host, l.Port, l.Database = strings.ToLower(j[1]), j[2], j[3], j[4]
		if l.Kind == "postgresql" {
			l.Kind = "postgres"
		}
	}
	return &l, (l.Host != "" || l.User != "" || l.Database != "") && !placeholder(secret) && !everyday(secret, l.User, l.Host)
}

var (
	statementUser = regexp.MustCompile("(?i)\\b(?:user|role|to)\\s+(?:if\\s+(?:not\\s+)?exists\\s+)?[\"'`]?([\\w.-]+)")
	// What PostgreSQL and MySQL accept as hashes: md5…, SCRAM-SHA-256$…, *….
	hashed = regexp.MustCompile(`^(?:md5[0-9a-f]{32}|SCRAM-SHA-256\$.*|\*[0-9A-Fa-f]{40}|\$[0-9a-zA-Z]{1,8}\$.*)$`)
)

func judgeStatement(m groups) (*Login, bool) {
	l := &Login{}
	if u := statementUser.FindStringSubmatch(m.text[m.at[0]:m.at[1]]); u != nil {
		l.User = u[1]
	}
	return l, !placeholder(m.get("secret")) && !hashed.MatchString(m.get("secret")) && !everyday(m.get("secret"), l.User, "")
}

var (
	commandUser = regexp.MustCompile(`\s(?:-u\s?|--user[= ])([\w.-]+)`)
	commandHost = regexp.MustCompile(`\s(?:-h\s?|--host[= ])([\w.:-]+)`)
)

func judgeCommand(m groups) (*Login, bool) {
	l, secret := &Login{Kind: "mysql"}, m.get("secret")
	if u := commandUser.FindStringSubmatch(m.line()); u != nil {
		l.User = u[1]
	}
	if h := commandHost.FindStringSubmatch(m.line()); h != nil {
		l.Host = h[1]
	}
	return l, !placeholder(secret) && !everyday(secret, l.User, l.Host)
}

var (
	configFile  = regexp.MustCompile(`(?i)(?:\.(?:ya?ml|json|tf|tfvars|hcl|properties|ini|cnf|conf|cfg|toml|xml|sh|bash|env|tpl)|(?:^|/)\.?env(?:\.[\w.-]+)?|settings[\w-]*\.py)$`)
	translation = regexp.MustCompile(`(?i)(?:^|/)(?:locales?|i18n|l10n|lang|languages|translations?)/`)
	testFile    = regexp.MustCompile(`(?i)(?:(?:^|[/_.-])(?:tests?|testdata|fixtures?|specs?|mocks?|__tests__)(?:[/_.-]|$))`)
	ofDB        = regexp.MustCompile(`(?i)(?:postgres|pgsql|\bpg|mysql|maria|database|datasource|(?:\b|_)db|rds|sql|jdbc|adapter|dbname|redis|mongo)`)
)

func judgeQuoted(m groups) (*Login, bool) {
	secret := m.get("secret")
	if !credible(m.path, secret) || translation.MatchString(m.path) {
		return nil, false
	}
	if !configFile.MatchString(m.path) && (testFile.MatchString(m.path) || entropy(secret) < 2.75) {
		return nil, false // code has many passwords that nobody has
	}
	return m.surroundings(), true
}

func judgePlain(m groups) (*Login, bool) {
	if !credible(m.path, m.get("secret")) || translation.MatchString(m.path) || calls.MatchString(m.get("secret")) {
		return nil, false
	}
	return m.surroundings(), true
}

var (
	calls    = regexp.MustCompile(`^[\w.]+[\[(]`) // ENV['DB_PASSWORD'], env("X")
	userNear = regexp.MustCompile(`(?im)^[\s"'-]*[\w.-]*(?:user(?:name)?|login)["']?\s*[:=]\s*["']?([\w.-]+)`)
	hostNear = regexp.MustCompile(`(?im)^[\s"'-]*[\w.-]*(?:host(?:name)?|server|address)["']?\s*[:=]\s*["']?([\w.-]+)`)
)

// nearLines is how many lines before and behind a key are its surroundings.
const nearLines = 8

// surroundings says what the lines around a key tell of its database; nil when
// none of them speaks of one.
func (g groups) surroundings() *Login {
	from, to := g.at[0], g.at[1]
	for range nearLines {
		from = max(0, strings.LastIndexByte(g.text[:from], '\n'))
		if n := strings.IndexByte(g.text[to:], '\n'); n >= 0 {
			to += n + 1
		} else {
			to = len(g.text)
		}
	}
	near := g.text[from:to]
	if !ofDB.MatchString(near) && !ofDB.MatchString(g.path) {
		return nil
	}
	l := &Login{}
	if u := userNear.FindStringSubmatch(near); u != nil {
		l.User = u[1]
	}
	if h := hostNear.FindStringSubmatch(near); h != nil {
		l.Host = h[1]
	}
	return l
}

var (
	letters   = regexp.MustCompile(`[A-Za-z]`)
	nonLetter = regexp.MustCompile(`[^A-Za-z]`)
	// Ciphertext that is meant to be public, and where else a secret is kept.
	sealed    = regexp.MustCompile(`^Ag[A-D][A-Za-z0-9+/=]{100,}$`)
	reference = regexp.MustCompile(`(?i)^(?:vault|secret|env|file|op|ref\+\w+|awssm|gcpsm|azurekeyvault|arn|ssm|kms|sops|enc|https?)[:\[]|^ENC\[|^/[\w./-]+$|^[~.]{1,2}/`)
)

// credible says whether a value behind a password's key could be one. A word of
// letters alone is more often a label, a type or a name.
func credible(_, s string) bool {
	return len(s) >= 6 && !placeholder(s) && letters.MatchString(s) && (nonLetter.MatchString(s) || len(s) >= 20) &&
		!strings.ContainsAny(s, " \t") && !hashed.MatchString(s) && !sealed.MatchString(s) && !reference.MatchString(s)
}

var (
	templates = regexp.MustCompile(`\$\{|\$\(|\{\{|<%|%\(|#\{|^\$\w+$|^%[\w\[\]#+.-]*[a-zA-Z]$|^%\w+%$|^\{\w*\}$|^<[^<>]*>$|^\[[^\[\]]*\]$|^:\w+$|^@\w+@$`)
	// What stands for a password in manuals and examples.
	stand = regexp.MustCompile(`(?i)^(?:(?:your|my|the|a|an|new|old|some|any|insert|enter|replace|change|set|put|use|strong|super|very|long|random|secure|db|database|user|root|admin|app|test|dev|local|default|sample|example|dummy|fake|demo|mysql|postgres(?:ql)?|secret)[-_. ]*)*(?:password|passwd|passphrase|passwort|pass|pwd|secret|me|this|here|it|value|key|example|todo|tbd|none|null|nil|undefined|redacted|hidden|masked|removed|postgres(?:ql)?|mysql|root|admin|test|dev|user|guest|string|true|false|required|optional)(?:[-_. ]*(?:here|me|this|please|123|1234|12345|1|!))*$`)
)

// template says that a text is filled in elsewhere.
func template(s string) bool { return templates.MatchString(s) }

// placeholder says that a text stands for a password, and is none.
func placeholder(s string) bool {
	if len(s) < 4 || template(s) || stand.MatchString(s) {
		return true
	}
	return strings.Trim(s, s[:1]) == "" || strings.Trim(s, "*•.xX-_ ") == "" || strings.Contains(s, "...")
}

// everyday says that a login is what everybody has on his own machine.
func everyday(secret, user, host string) bool {
	local := host == "localhost" || strings.HasPrefix(host, "127.") || host == "[::1]" || host == "host.docker.internal"
	return secret == user && (local || len(secret) < 8)
}
