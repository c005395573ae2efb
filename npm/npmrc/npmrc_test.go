package npmrc

import (
	"net/url"
	"strings"
	"testing"
)

func env(name string) (string, bool) {
	if name == "TOKEN" {
		return "s3cret", true
	}
	return "", false
}

// TestParse gives what npm 11's ini reads in the same lines.
func TestParse(t *testing.T) {
	for _, c := range []struct{ line, key, value string }{
		{"registry=https://r.example/", "registry", "https://r.example/"},
		{"  registry = https://r.example/  ", "registry", "https://r.example/"},
		{"strict-ssl", "strict-ssl", "true"},
		{"a = \"quo;ted\\u0041\"", "a", "quo;tedA"},
		{"a = 'as it is'", "a", "as it is"},
		{"a = '\"in both\"'", "a", "in both"},
		{"a = before ; comment", "a", "before"},
		{"a = before # comment", "a", "before"},
		{`a = kept\;kept\#kept\\`, "a", `kept;kept#kept\`},
		{`a = C:\dir\x`, "a", `C:\dir\x`},
		{"a = b = c", "a", "b = c"},
		{"//h.example/:_authToken=t=", "//h.example/:_authToken", "t="},
		{"; comment", "", ""},
		{"# comment", "", ""},
		{"= nothing", "", ""},
		{"[section]\na = b", "", ""},
		{`"a" = b`, "a", "b"},
	} {
		lines := parse(c.line)
		switch {
		case c.key == "":
			if len(lines) != 0 {
				t.Errorf("%q gives %v, want nothing", c.line, lines)
			}
		case len(lines) != 1 || lines[0].key != c.key || lines[0].value != c.value:
			t.Errorf("%q gives %v, want %q = %q", c.line, lines, c.key, c.value)
		}
	}
	list := parse("ca[] = one\r\nca[] = two")
	if len(list) != 2 || !list[0].list || list[0].key != "ca" || list[1].value != "two" {
		t.Errorf("a list gives %v", list)
	}
}

func TestExpand(t *testing.T) {
	for in, want := range map[string]string{
		"${TOKEN}":       "s3cret",
		"a${TOKEN}b":     "as3cretb",
		"${OTHER}":       "${OTHER}",
		"${OTHER?}":      "",
		`\${TOKEN}`:      "${TOKEN}",
		`\\${TOKEN}`:     `\s3cret`,
		"${TOKEN":        "${TOKEN",
		"${}":            "${}",
		"${A${TOKEN}":    "${A${TOKEN}",
		"$TOKEN":         "$TOKEN",
		"${TOKEN}${OUT}": "s3cret${OUT}",
	} {
		if got := expand(in, env); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	var c Config
	c.Add(User, "registry=https://user.example\n@acme:registry=https://acme.example/npm", env)
	c.Add(Global, "registry=https://global.example\ncafile=/etc/ca.pem", env)
	for name, want := range map[string]string{
		"left-pad": "https://user.example/", "@acme/x": "https://acme.example/npm/", "@other/x": "https://user.example/",
	} {
		if got, err := c.Registry(name); err != nil || got != want {
			t.Errorf("%s comes from %q, %v; want %q", name, got, err, want)
		}
	}
	if got, _ := c.Get("cafile"); got != "/etc/ca.pem" {
		t.Errorf("cafile is %q", got)
	}
	c.Add(Project, "registry=https://project.example/", env)
	if got, _ := c.Registry("x"); got != "https://project.example/" {
		t.Errorf("beside a project's file: %q", got)
	}
	c.Set("registry", "https://env.example/")
	if got, _ := c.Registry("x"); got != "https://env.example/" {
		t.Errorf("with a variable: %q", got)
	}
	if got, err := new(Config).Registry("x"); got != "" || err != nil {
		t.Errorf("without files: %q, %v", got, err)
	}
}

// TestProjectFile: a cloned repository gets no variable's value and does not weaken
// a connection; each is told (SPEC Q21).
func TestProjectFile(t *testing.T) {
	var c Config
	asked := false
	c.Add(Project, strings.Join([]string{
		"registry=https://evil.example/${TOKEN}/",
		"//evil.example/:_authToken=${TOKEN}",
		"@${TOKEN}:registry=https://evil.example/",
		"https-proxy=http://evil.example:8080",
		"strict-ssl=false",
		"cafile=./evil.pem",
		"ca[]=evil",
		"noproxy=*",
		"//user.example/:certfile=/dev/zero",
		"//user.example/:keyfile=/home/user/key.pem",
		"@acme:registry=https://acme.example/",
	}, "\n"), func(string) (string, bool) { asked = true; return "s3cret", true })
	if asked {
		t.Error("a project's file was given a variable")
	}
	if len(c.Ignored()) != 10 {
		t.Errorf("ignored %v, want 10 settings", c.Ignored())
	}
	for key, s := range c.settings {
		if key != "@acme:registry" {
			t.Errorf("took %s = %v", key, s.values)
		}
	}
	if got, _ := c.Registry("@acme/x"); got != "https://acme.example/" {
		t.Errorf("@acme comes from %q", got)
	}
}

func TestRegistryURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://r.example": true, "http://127.0.0.1:4873/a/": true,
		"file:///etc": false, "r.example": false, "https://": false, "https://r.example/?x": false, "https://u:p@r.example/": false,
		"https://r.example/#x": false, "ftp://r.example/": false, "https://r.example\n": false,
	} {
		var c Config
		c.Set("registry", text)
		if _, err := c.Registry("x"); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	var c Config
	c.Add(User, `
//r.example/:_authToken=${TOKEN}
//r.example/private/:_auth=YTpi
//r.example:8443/:username=ann
//r.example:8443/:_password=cHc=
//cert.example/:certfile=/c.pem
//cert.example/:keyfile=/k.pem
//half.example/:username=ann
//slashless.example/npm:_authToken=t
//[::1]:4873/:_authToken=six
`, env)
	for text, want := range map[string]Credentials{
		"https://r.example/left-pad":                {Authorization: "Bearer s3cret"},
		"https://r.example/private/x/-/x-1.0.0.tgz": {Authorization: "Basic YTpi"},
		"https://r.example:8443/x":                  {Authorization: "Basic YW5uOnB3"},
		"https://r.example:9/x":                     {},
		"https://r.example.evil.example/":           {},
		"https://evil.example/r.example/":           {},
		"https://cert.example/x":                    {CertFile: "/c.pem", KeyFile: "/k.pem"},
		"https://half.example/x":                    {},
		"https://slashless.example/npm/x":           {Authorization: "Bearer t"},
		"https://slashless.example/npmx":            {},
		"http://[::1]:4873/x":                       {Authorization: "Bearer six"},
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Credentials(u); got != want {
			t.Errorf("%s is sent %+v, want %+v", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("registry=https://r.example/\n@a:registry=x\n//r.example/:_authToken=${TOKEN}\nca[]=a\n[s]\nx=y")
	f.Add("a=\"\\u00\"\nb='\nc=\\")
	f.Fuzz(func(t *testing.T, text string) {
		var user, project Config
		user.Add(User, text, env)
		project.Add(Project, text, func(name string) (string, bool) {
			t.Errorf("a project's file was given variable %q", name)
			return "", false
		})
		for key := range project.settings {
			for _, v := range project.All(key) {
				if strings.Contains(v, "s3cret") && !strings.Contains(text, "s3cret") {
					t.Errorf("%q came out of %q", v, text)
				}
			}
		}
		for _, name := range []string{"x", "@a/b"} {
			if got, err := user.Registry(name); err == nil && got != "" && !strings.HasSuffix(got, "/") {
				t.Errorf("registry %q", got)
			}
		}
		if u, err := url.Parse("https://r.example/a/b"); err == nil {
			user.Credentials(u)
		}
	})
}
