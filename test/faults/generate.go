package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Generate draws a script about a workload of a kind from a seed.
func Generate(of *kind, seed uint64) Script {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 0)), kind: of, kinds: of.stored()}
	s := Script{Seed: seed, Kind: of, Set: of.draw(g)}
	g.marks = of.marks(s.Set)
	for _, option := range of.options {
		if g.IntN(of.odds) == 0 {
			s.Options = append(s.Options, option)
		}
	}
	for _, option := range of.usual {
		if g.IntN(3) > 0 {
			s.Options = append(s.Options, option)
		}
	}
	if of.opening != nil {
		s.Lines = of.opening(g)
	}
	if g.IntN(8) == 0 {
		s.Lines = append(s.Lines, "old-kubelets")
	}
	if g.IntN(3) == 0 {
		s.Lines = append(s.Lines, "takes 1s 2s")
	}
	if g.IntN(4) > 0 {
		s.Lines = append(s.Lines, "go 12s") // begin with pods that run
	}
	for range 5 + g.IntN(40) {
		if g.IntN(12) == 0 {
			s.Lines = append(s.Lines, g.scene()...)
		} else {
			s.Lines = append(s.Lines, g.line())
		}
	}
	return s
}

// generator draws what happens.
type generator struct {
	*rand.Rand
	kind  *kind
	kinds []string
	// marks is true where hooks keep pods out of service.
	marks bool
}

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

// claimTemplates are templates of claims.
func claimTemplates() []corev1.PersistentVolumeClaim {
	return []corev1.PersistentVolumeClaim{claimTemplate("data", resource.MustParse("1Gi"))}
}

func claimTemplate(name string, size resource.Quantity) corev1.PersistentVolumeClaim {
	claim := corev1.PersistentVolumeClaim{}
	claim.Name = name
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: size}
	return claim
}

func (g generator) number(low, high int) *intstr.IntOrString {
	v := intstr.FromInt(low + g.IntN(high-low+1))
	if g.IntN(4) == 0 {
		v = intstr.FromString(pick(g, "20%", "50%", "99%", "100%"))
	}
	return &v
}

// line draws what happens next: mostly what moves things on, then faults, then people.
func (g generator) line() string {
	switch n := g.IntN(100); {
	case n < 12:
		return "run"
	case n < 22:
		return g.hear()
	case n < 30:
		return g.time()
	case n < 48:
		return fmt.Sprintf("go %s", pick(g, "1s", "2s", "3s", "6s"))
	case n < 64:
		return fmt.Sprintf("at %d %s", 1+g.IntN(8), g.atRequest())
	case n < 70:
		return g.fault()
	case n < 73:
		return g.refusal()
	case n < 80:
		return pick(g, "freeze ", "thaw ") + pick(g, append(slices.Clone(g.kinds), kindPod, kindPod)...)
	default:
		return g.person()
	}
}

// scene draws a few things that belong together: somebody wants something, and while the controller does it, its caches
// lag behind and an answer is lost, or it dies.
func (g generator) scene() []string {
	if g.marks && g.IntN(2) == 0 {
		return g.crossing()
	}
	lines := []string{"go 3s", pick(g, g.person(), g.resize(9), g.kind.image(g))}
	if g.IntN(3) == 0 {
		lines = append(lines, g.person()) // at the same time
	}
	if g.IntN(4) > 0 {
		lines = append(lines, "freeze "+pick(g, kindPod, kindPod, kindPod, kindClaim, kindRevision))
	}
	at := fmt.Sprintf("at %d ", 1+g.IntN(4))
	lines = append(lines, at+pick(g, g.loss(), g.loss(), g.loss(), "crash", "crash-after", "crash-after"))
	return append(lines, "go 2s", g.line(), "thaw "+kindPod)
}

// lost are the errors after which nobody knows what became of a request.
var lost = []string{"Timeout", "ServerTimeout", "Internal", "Deadline", "EOF", "Reset"}

func (g generator) loss() string { return "lose " + pick(g, lost...) }

func (g generator) hear() string {
	if g.IntN(3) == 0 {
		return "hear all"
	}
	return fmt.Sprintf("hear %s %d", pick(g, g.kinds...), 1+g.IntN(4))
}

func (g generator) time() string {
	if g.IntN(3) == 0 {
		return "kubelet " + g.somePod()
	}
	return "tick " + pick(g, "50ms", "200ms", "1s", "1s", "3s")
}

// resize draws how the set gets more pods or fewer.
func (g generator) resize(most int) string {
	if g.kind.resize != nil {
		return g.kind.resize(g)
	}
	return fmt.Sprintf(`patch {"replicas":%d}`, g.IntN(most))
}

// templateImages are images of the containers of a template that break.
var templateImages = []string{"main:2", "main:3", "main:3", "side:2"}

// templateImage draws that the container main is to run another image.
func (g generator) templateImage() string { return fmt.Sprintf("image main=main:%d", 1+g.IntN(3)) }

func (g generator) somePod() string { return fmt.Sprintf("#%d", g.IntN(8)) }

// atRequest draws what happens to a request, or while a reconcile is under way.
func (g generator) atRequest() string {
	switch g.IntN(11) {
	case 0, 1:
		return "crash"
	case 2, 3:
		return "crash-after"
	case 4, 5:
		return "fail " + pick(g, append(slices.Clone(lost), "Unavailable", "TooMany", "Forbidden", "Conflict")...)
	case 6, 7:
		return g.loss()
	case 8:
		return "webhook " + pick(g, "Fail", "Fail", "Ignore")
	case 9:
		if g.kind.guests {
			return pick(g, g.hear(), "neighbour "+g.somePod(), "neighbour "+g.somePod())
		}
		return pick(g, g.hear(), g.time(), g.hold())
	default:
		return pick(g, g.person(), g.fault())
	}
}

func (g generator) fault() string {
	switch g.IntN(9) {
	case 0, 1:
		return "relist " + pick(g, g.kinds...)
	case 2:
		return "crash"
	case 3:
		return "skew " + pick(g, "0s", "2s", "-2s", "30s")
	case 4:
		return "takes " + pick(g, "0s", "2s", "9s", "1s 3s")
	case 5:
		return "lose " + g.somePod()
	case 6:
		return "evict " + g.somePod()
	case 7:
		return fmt.Sprintf("node %d", g.IntN(3))
	default:
		return pick(g, "bad ", "good ", "sick ", "well ") + pick(g, g.kind.images...)
	}
}

func (g generator) refusal() string {
	if g.IntN(2) == 0 {
		return "allow"
	}
	verb, kind := "create", pick(g, kindPod, kindPod, kindClaim, kindRevision)
	switch {
	case g.kind.guests:
		verb, kind = "patch", pick(g, kindPod, kindPod, g.kind.name)
	case g.IntN(3) == 0:
		verb, kind = pick(g, "patch", "delete"), pick(g, kindPod, g.kind.name)
	}
	return fmt.Sprintf("refuse %s %s %s", verb, kind, pick(g, "Forbidden", "Internal", "Timeout", "TooMany", "Webhook"))
}

// person draws what a person does.
func (g generator) person() string {
	if g.kind.guests {
		return g.kind.person(g)
	}
	rolling := func(text string) string { return `patch {"updateStrategy":{"rollingUpdate":{` + text + `}}}` }
	switch g.IntN(20) {
	case 0, 1, 2:
		return g.resize(8)
	case 3, 4, 5:
		return g.kind.image(g)
	case 6:
		return fmt.Sprintf(`patch {"template":{"metadata":{"annotations":{"note":"%d"}}}}`, g.IntN(2))
	case 7:
		return rolling(fmt.Sprintf(`"partition":%d`, g.IntN(5)))
	case 8:
		return rolling(fmt.Sprintf(`"paused":%v`, g.IntN(2) == 0))
	case 9:
		return rolling(fmt.Sprintf(`"maxUnavailable":%d`, 1+g.IntN(3)))
	case 10:
		return strings.Join([]string{"label", g.somePod(), pick(g, "app=other", "app=web", v1beta1.SpecifiedDeleteKey+"=true")}, " ")
	case 11, 12:
		return g.kind.person(g)
	case 13:
		return pick(g, "drop-set", "make-set", "make-set", "hooks", g.hold(), g.hold())
	case 14, 15, 16, 17, 18:
		return g.templateChange()
	default:
		return "hooks"
	}
}
