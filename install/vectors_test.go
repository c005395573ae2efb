package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/vectors"
)

func TestAgreeVectors(t *testing.T) {
	for _, v := range vectors.Read(t, "../testdata/install/agree/*.txtar") {
		p := project(t, "")
		write(t, filepath.Join(p.dir, packagejson.Name), v.File(packagejson.Name))
		write(t, filepath.Join(p.dir, lockfile.Name), v.File(lockfile.Name))
		w := newWorld(t)
		_, err := p.Install(context.Background(), Sources{Blocks: w.local}, Options{Frozen: true})
		var d *DisagreeError
		switch want := v.Expect; {
		case want == "ok":
			if err != nil && !errors.As(err, new(*MissingError)) { // which comes after
				t.Errorf("%s: %v", v.Name, err)
			}
		case !errors.As(err, &d) || len(d.Reasons) == 0:
			t.Errorf("%s: %v, want %s", v.Name, err, want)
		default:
			r := d.Reasons[0]
			where := r.Path
			if r.Code != tree.NotNeeded {
				where = strings.TrimSpace(fmt.Sprintf("%s %s@%s %s", r.By, r.Name, r.Spec, r.Locked))
			}
			if r.Code != want || where != v.More["where"] {
				t.Errorf("%s: %s: %s, want %s: %s", v.Name, r.Code, where, want, v.More["where"])
			}
		}
	}
}
