package corpus

import "fmt"

// tokens are secrets that are no database's, in the shapes that those who issue
// them publish.
var tokens = []class{
	{"aws-access-key", func(m *maker) Sample {
		s := "AKIA" + m.from(upper+"234567", 16)
		return file("deploy.sh", s, "export AWS_ACCESS_KEY_ID="+s+"\n")
	}},
	{"github-pat", func(m *maker) Sample {
		s := "ghp_" + m.from(alnum, 36)
		return file("ci.yml", s, fmt.Sprintf("env:\n  GH: %s\n", s))
	}},
	{"github-fine-grained-pat", func(m *maker) Sample {
		s := "github_pat_" + m.from(alnum, 82)
		return file("ci.yml", s, fmt.Sprintf("env:\n  GH: %s\n", s))
	}},
	{"gitlab-pat", func(m *maker) Sample {
		s := "glpat-" + m.from(alnum, 20)
		return file("run.sh", s, "git clone https://oauth2:"+s+"@gitlab.acme.example/app.git\n")
	}},
	{"slack-bot-token", func(m *maker) Sample {
		s := "xoxb-" + m.from("123456789", 12) + "-" + m.from("123456789", 12) + "-" + m.from(alnum, 24)
		return file("bot.py", s, fmt.Sprintf("client = WebClient(%q)\n", s))
	}},
	{"stripe-live-key", func(m *maker) Sample {
		s := "sk_live_" + m.from(alnum, 24)
		return file("pay.js", s, fmt.Sprintf("const stripe = require('stripe')('%s');\n", s))
	}},
	{"private-key", func(m *maker) Sample {
		body := ""
		for range 12 {
			body += m.from(base64, 64) + "\n"
		}
		kind := m.pick("RSA ", "EC ", "")
		s := "-----BEGIN " + kind + "PRIVATE KEY-----\n" + body + "-----END " + kind + "PRIVATE KEY-----"
		return file("server.pem", s, s+"\n")
	}},
	{"google-api-key", func(m *maker) Sample {
		s := "AIza" + m.from(alnum, 35)
		return file("map.js", s, fmt.Sprintf("const key = \"%s\";\n", s))
	}},
	{"sendgrid", func(m *maker) Sample {
		s := "SG." + m.from(lower+digits, 66)
		return file("mail.py", s, fmt.Sprintf("SENDGRID = %q\n", s))
	}},
	{"npm-token", func(m *maker) Sample {
		s := "npm_" + m.from(lower+digits, 36)
		return file(".npmrc", s, "//registry.npmjs.org/:_authToken="+s+"\n")
	}},
	{"generic-api-key", func(m *maker) Sample {
		s := m.from(alnum, 32) + "7"
		return file("client.py", s, fmt.Sprintf("api_key = %q\n", s))
	}},
	{"digitalocean", func(m *maker) Sample {
		s := "dop_v1_" + m.from(hex, 64)
		return file("main.tfvars", s, fmt.Sprintf("do = %q\n", s))
	}},
}
