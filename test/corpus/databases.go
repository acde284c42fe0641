package corpus

import (
	"fmt"
	"net/url"
	"strings"
)

// databases are the ways in which passwords of databases come into repositories.
var databases = []class{
	{"postgres-url-go", func(m *maker) Sample {
		p := m.password()
		return database("main.go", p, fmt.Sprintf("const dsn = \"postgres://%s:%s@%s:5432/%s?sslmode=require\"\n", m.user(), p, m.host(), m.name()))
	}},
	{"postgresql-url-env", func(m *maker) Sample {
		p := m.password()
		return database(".env", p, fmt.Sprintf("DATABASE_URL=postgresql://%s:%s@%s/%s\n", m.user(), p, m.host(), m.name()))
	}},
	{"postgres-url-escaped", func(m *maker) Sample {
		word := url.QueryEscape(m.human() + m.pick("#", "@", "/", "?") + m.from(alnum, 4))
		return database("config.yaml", word, fmt.Sprintf("database:\n  url: postgres://%s:%s@%s:5432/%s\n", m.user(), word, m.host(), m.name()))
	}},
	{"sqlalchemy-url", func(m *maker) Sample {
		p := m.password()
		return database("settings.py", p, fmt.Sprintf("engine = create_engine('%s://%s:%s@%s/%s')\n",
			m.pick("postgresql+psycopg2", "postgresql+asyncpg", "mysql+pymysql", "mysql+mysqldb"), m.user(), p, m.host(), m.name()))
	}},
	{"mysql-url", func(m *maker) Sample {
		p := m.password()
		return database("config.js", p, fmt.Sprintf("module.exports = { url: `%s://%s:%s@%s:3306/%s` };\n", m.pick("mysql", "mysql2", "mariadb"), m.user(), p, m.host(), m.name()))
	}},
	{"go-mysql-dsn", func(m *maker) Sample {
		p := m.password()
		return database("store.go", p, fmt.Sprintf("\tdb, err := sql.Open(\"mysql\", \"%s:%s@tcp(%s:3306)/%s?parseTime=true\")\n", m.user(), p, m.host(), m.name()))
	}},
	{"libpq-keywords", func(m *maker) Sample {
		p := m.password()
		return database("run.sh", p, fmt.Sprintf("psql \"host=%s port=5432 dbname=%s user=%s password=%s sslmode=require\"\n", m.host(), m.name(), m.user(), p))
	}},
	{"libpq-keywords-quoted", func(m *maker) Sample {
		p := m.human() + " " + m.from(alnum, 5)
		return database("app.conf", p, fmt.Sprintf("conninfo = \"user=%s password='%s' host=%s dbname=%s\"\n", m.user(), p, m.host(), m.name()))
	}},
	{"jdbc-url", func(m *maker) Sample {
		p := m.password()
		return database("Dao.java", p, fmt.Sprintf("  static final String URL = \"jdbc:%s://%s/%s?user=%s&password=%s\";\n", m.pick("postgresql", "mysql", "mariadb"), m.host(), m.name(), m.user(), p))
	}},
	{"yaml-password", func(m *maker) Sample {
		p := m.password()
		return database("config/database.yml", p, fmt.Sprintf("production:\n  adapter: postgresql\n  host: %s\n  username: %s\n  password: %s\n", m.host(), m.user(), p))
	}},
	{"yaml-password-quoted", func(m *maker) Sample {
		p := m.human()
		q := m.pick(`"`, `'`)
		return database("values.yaml", p, fmt.Sprintf("postgresql:\n  auth:\n    username: %s\n    password: %s%s%s\n", m.user(), q, p, q))
	}},
	{"yaml-compound-key", func(m *maker) Sample {
		p := m.password()
		return database("values-prod.yaml", p, fmt.Sprintf("config:\n  %s: \"%s\"\n", m.pick("dbPassword", "db_password", "databasePassword", "postgresPassword", "mysqlRootPassword", "DB_PASS"), p))
	}},
	{"compose-environment", func(m *maker) Sample {
		p := m.password()
		return database("docker-compose.yml", p, fmt.Sprintf("services:\n  db:\n    image: postgres:16\n    environment:\n      - POSTGRES_USER=%s\n      - POSTGRES_PASSWORD=%s\n", m.user(), p))
	}},
	{"kubernetes-env", func(m *maker) Sample {
		p := m.password()
		return database("deployment.yaml", p, fmt.Sprintf("        env:\n        - name: DB_PASSWORD\n          value: \"%s\"\n", p))
	}},
	{"tfvars", func(m *maker) Sample {
		p := m.password()
		return database("prod.tfvars", p, fmt.Sprintf("db_username = \"%s\"\n%s = \"%s\"\n", m.user(), m.pick("db_password", "database_password", "master_password", "rds_password"), p))
	}},
	{"terraform-resource", func(m *maker) Sample {
		p := m.password()
		return database("rds.tf", p, fmt.Sprintf("resource \"aws_db_instance\" \"main\" {\n  username = \"%s\"\n  password = \"%s\"\n}\n", m.user(), p))
	}},
	{"dotenv", func(m *maker) Sample {
		p := m.password()
		q := m.pick("", "", `"`, "'")
		return database(m.pick(".env", ".env.production", "prod.env"), p, fmt.Sprintf("%s=%s%s%s\n", m.pick("DB_PASSWORD", "PGPASSWORD", "MYSQL_PASSWORD", "POSTGRES_PASSWORD", "MYSQL_ROOT_PASSWORD", "DATABASE_PASSWORD", "DB_PASS"), q, p, q))
	}},
	{"shell-export", func(m *maker) Sample {
		p := m.password()
		return database("deploy.sh", p, fmt.Sprintf("export PGPASSWORD='%s'\npsql -h %s -U %s %s\n", p, m.host(), m.user(), m.name()))
	}},
	{"mysql-command", func(m *maker) Sample {
		p := m.from(alnum, 18)
		return database("backup.sh", p, fmt.Sprintf("%s -h %s -u%s -p%s %s > dump.sql\n", m.pick("mysqldump", "mysql"), m.host(), m.user(), p, m.name()))
	}},
	{"pgpass", func(m *maker) Sample {
		p := m.password()
		return database(".pgpass", p, fmt.Sprintf("%s:5432:%s:%s:%s\n", m.host(), m.name(), m.user(), p))
	}},
	{"my-cnf", func(m *maker) Sample {
		p := m.password()
		return database(".my.cnf", p, fmt.Sprintf("[client]\nuser=%s\npassword=%s\n", m.user(), p))
	}},
	{"spring-properties", func(m *maker) Sample {
		p := m.password()
		return database("application.properties", p, fmt.Sprintf("spring.datasource.username=%s\nspring.datasource.password=%s\n", m.user(), p))
	}},
	{"django", func(m *maker) Sample {
		p := m.password()
		return database("settings.py", p, fmt.Sprintf("DATABASES = {'default': {\n    'ENGINE': 'django.db.backends.postgresql',\n    'USER': '%s',\n    'PASSWORD': '%s',\n}}\n", m.user(), p))
	}},
	{"sql-create-user", func(m *maker) Sample {
		p := m.password()
		return database("init.sql", p, m.pick(
			fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s';\n", m.user(), p),
			fmt.Sprintf("CREATE USER %s WITH PASSWORD '%s';\n", m.user(), p),
			fmt.Sprintf("ALTER USER %s WITH ENCRYPTED PASSWORD '%s';\n", m.user(), p),
			fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s';\n", m.user(), p)))
	}},
	{"dotnet-connection-string", func(m *maker) Sample {
		p := m.password()
		return database("appsettings.json", p, fmt.Sprintf("{\n  \"ConnectionStrings\": {\n    \"Main\": \"%s=%s;Database=%s;%s=%s;Password=%s\"\n  }\n}\n",
			m.pick("Server", "Host"), m.host(), m.name(), m.pick("User Id", "Username", "Uid"), m.user(), p))
	}},
	{"json-config", func(m *maker) Sample {
		p := m.password()
		return database("config.json", p, fmt.Sprintf("{\n  \"database\": {\n    \"user\": \"%s\",\n    \"%s\": \"%s\"\n  }\n}\n", m.user(), m.pick("password", "dbPassword"), p))
	}},
}

// harmless are files that look as if they held a secret.
var harmless = []class{
	{"url-without-password", func(m *maker) Sample {
		return file("main.go", "", fmt.Sprintf("const dsn = \"postgres://%s@%s:5432/%s\"\n", m.user(), m.host(), m.name()))
	}},
	{"url-with-variable", func(m *maker) Sample {
		return file(".env", "", fmt.Sprintf("DATABASE_URL=postgres://%s:%s@%s/%s\n", m.user(), m.pick("${DB_PASSWORD}", "$PGPASSWORD", "{{password}}", "{{ .Values.db.password }}", "$(DB_PASSWORD)", "%(password)s"), m.host(), m.name()))
	}},
	{"url-with-placeholder", func(m *maker) Sample {
		return file("README.md", "", fmt.Sprintf("Set `DATABASE_URL=postgres://%s:%s@%s:5432/%s` first.\n", m.pick("user", "USER", "username", "<user>"), m.pick("<password>", "password", "PASSWORD", "pass", "***", "xxxxx", "[password]", "your-password", "YOUR_PASSWORD"), m.pick("localhost", "host", "HOST"), m.name()))
	}},
	{"url-development-default", func(m *maker) Sample {
		return file("compose_test.go", "", fmt.Sprintf("const dsn = \"%s\"\n", m.pick("postgres://postgres:postgres@localhost:5432/test", "mysql://root:root@127.0.0.1:3306/test", "root:root@tcp(127.0.0.1:3306)/test", "postgres://user:password@localhost/db")))
	}},
	{"format-verbs", func(m *maker) Sample {
		return file("store.go", "", fmt.Sprintf("\tdsn := fmt.Sprintf(%q, user, pass, host)\n", m.pick("%s:%s@tcp(%s)/app?parseTime=true", "postgres://%s:%s@%s/app", "host=%[3]s user=%[1]s password=%[2]s", "user=%s password=%s host=%s")))
	}},
	{"yaml-reference", func(m *maker) Sample {
		return file("values.yaml", "", fmt.Sprintf("database:\n  %s\n", m.pick("password: ${DB_PASSWORD}", "password: {{ .Values.password }}", "passwordSecretRef: ledger-db", "existingSecret: ledger-database", "password: \"\"", "password: null",
			"password: secret:secret/ledger/database#password", "passwordFile: /run/secrets/db_password", "password_file: /etc/ledger/password", "password: vault:secret/data/ledger#password", "password: !vault |", "password: ENV['DB_PASSWORD']", "password: <%= ENV['DB_PASSWORD'] %>")))
	}},
	{"kubernetes-secret-ref", func(m *maker) Sample {
		return file("deployment.yaml", "", fmt.Sprintf("        env:\n        - name: DB_PASSWORD\n          valueFrom:\n            secretKeyRef:\n              name: %s-database\n              key: password\n", m.name()))
	}},
	{"terraform-variable", func(m *maker) Sample {
		return file("rds.tf", "", "resource \"aws_db_instance\" \"main\" {\n  password = "+m.pick("var.db_password", "random_password.db.result", "data.vault_generic_secret.db.data[\"password\"]", "local.password", "\"${var.db_password}\"")+"\n}\n")
	}},
	{"code-that-reads", func(m *maker) Sample {
		return file("config.go", "", m.pick("\tpassword := os.Getenv(\"DB_PASSWORD\")\n", "\tif password == \"\" {\n\t\treturn errNoPassword\n\t}\n", "\tcfg.Password = string(secret)\n", "\tpassword, err := readPassword(path)\n", "\tDBPassword string `env:\"DB_PASSWORD\"`\n"))
	}},
	{"script-that-reads", func(m *maker) Sample {
		return file("deploy.sh", "", m.pick("export PGPASSWORD=\"$(cat /run/secrets/db)\"\n", "PGPASSWORD=$DB_PASSWORD psql -h db\n", "mysql -uroot -p\"$MYSQL_ROOT_PASSWORD\" app\n", "read -rs DB_PASSWORD\n", "DB_PASSWORD=`pass show db`\n", "mysqldump -h db -uapp -p app > dump.sql\n"))
	}},
	{"dotenv-example", func(m *maker) Sample {
		return file(m.pick(".env.example", ".env.sample"), "", fmt.Sprintf("DB_PASSWORD=%s\n", m.pick("", "changeme", "your_password_here", "<password>", "secret", "xxx", "example", "password", "replace-me", "CHANGE_ME")))
	}},
	{"translation", func(m *maker) Sample {
		return file("locales/en.yml", "", "en:\n  "+m.pick("password: Enter your password", "password: \"Password\"", "password_hint: At least twelve characters", "db_password: Database password", "password: Mot de passe")+"\n")
	}},
	{"json-schema", func(m *maker) Sample {
		return file("schema.json", "", fmt.Sprintf("{\n  \"properties\": {\n    \"password\": {\"type\": \"string\", \"minLength\": %d}\n  }\n}\n", 8+m.IntN(8)))
	}},
	{"password-hash", func(m *maker) Sample {
		return file("seed.sql", "", fmt.Sprintf("INSERT INTO users (name, hash) VALUES ('%s', '$2a$12$%s');\n", m.user(), m.from(alnum+"./", 53)))
	}},
	{"sql-by-variable", func(m *maker) Sample {
		return file("init.sql", "", m.pick("ALTER ROLE app WITH PASSWORD :'password';\n", "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';\n", "CREATE USER app IDENTIFIED BY '${PASSWORD}';\n", "ALTER ROLE app PASSWORD NULL;\n"))
	}},
	{"sealed-secret", func(m *maker) Sample {
		return file("sealed.yaml", "", fmt.Sprintf("apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec:\n  encryptedData:\n    password: AgB%s=\n", m.from(base64, 180)))
	}},
	{"sops", func(m *maker) Sample {
		return file("secrets.yaml", "", fmt.Sprintf("database:\n    password: ENC[AES256_GCM,data:%s==,iv:%s=,tag:%s==,type:str]\n", m.from(base64, 22), m.from(base64, 43), m.from(base64, 22)))
	}},
	{"ansible-vault", func(m *maker) Sample {
		return file("vault.yml", "", "db_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  "+m.from(hex, 80)+"\n  "+m.from(hex, 80)+"\n")
	}},
	{"public-key", func(m *maker) Sample {
		return file("key.pub.pem", "", "-----BEGIN PUBLIC KEY-----\n"+m.from(base64, 64)+"\n"+m.from(base64, 64)+"\n-----END PUBLIC KEY-----\n")
	}},
	{"authorized-keys", func(m *maker) Sample {
		return file("authorized_keys", "", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"+m.from(base64, 43)+" deploy@acme\n")
	}},
	{"digests", func(m *maker) Sample {
		return file("values.yaml", "", m.pick(
			"image: registry.acme.example/secret-service@sha256:"+m.from(hex, 64)+"\n",
			"commit: "+m.from(hex, 40)+"\n",
			"etag: \""+m.from(hex, 32)+"\"\n",
			"id: "+strings.Join([]string{m.from(hex, 8), m.from(hex, 4), "4" + m.from(hex, 3), "a" + m.from(hex, 3), m.from(hex, 12)}, "-")+"\n"))
	}},
	{"lock-file", func(m *maker) Sample {
		return file("package-lock.json", "", fmt.Sprintf("{\n  \"integrity\": \"sha512-%s==\"\n}\n", m.from(base64, 86)))
	}},
	{"go-sum", func(m *maker) Sample {
		return file("go.sum", "", fmt.Sprintf("acme.example/secrets v1.%d.0 h1:%s=\n", m.IntN(9), m.from(base64, 43)))
	}},
	{"image-tag", func(m *maker) Sample {
		return file("deployment.yaml", "", fmt.Sprintf("        image: acme/%s:1.%d.%d-%s\n", m.pick("wrongsecrets", "secret-store", "token-service", "keycloak"), m.IntN(20), m.IntN(20), m.pick("alpine", "slim", "no-vault")))
	}},
	{"vault-path", func(m *maker) Sample {
		return file("app.yaml", "", fmt.Sprintf("credentials: [database/creds/%s]\ntoken: secret:secret/nightporter/github#token\n", m.name()))
	}},
	{"prose", func(m *maker) Sample {
		return file("README.md", "", m.pick("The password: it is made on request and lives for an hour.\n", "Never write `password=` into a file; see the manual.\n", "Rotate the password (see operations.md) once a quarter.\n"))
	}},
}
