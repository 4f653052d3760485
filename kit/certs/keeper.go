package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// recheck is how often everything is looked at when nothing changes: far more often than certificates run out.
const recheck = time.Hour

// Keeper keeps the certificate of one component. Make one with New, run it with Start.
type Keeper struct {
	opts    Options
	config  *rest.Config
	client  client.Client
	clock   clock.PassiveClock
	changed chan struct{}
	serving atomic.Pointer[tls.Certificate]
	served  []byte // the certificate in serving, as PEM; of the goroutine of Start alone
	placed  atomic.Bool
	trusted atomic.Pointer[[]byte] // the authority that signed what is served, as PEM
}

// New makes a Keeper that talks to the API server of a config.
func New(config *rest.Config, opts Options) (*Keeper, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, admissionregistrationv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("certs: making a scheme: %w", err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: resources()})
	if err != nil {
		return nil, fmt.Errorf("certs: making a client: %w", err)
	}
	return &Keeper{opts: opts, config: config, client: c, clock: clock.RealClock{}, changed: make(chan struct{}, 1)}, nil
}

// resources knows the kinds that a Keeper works on, so that the API server need not be asked for all that it has.
func resources() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"), meta.RESTScopeRoot)
	mapper.Add(admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"), meta.RESTScopeRoot)
	mapper.Add(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"), meta.RESTScopeRoot)
	return mapper
}

// GetCertificate is the GetCertificate of a tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cert := k.serving.Load(); cert != nil {
		return cert, nil
	}
	return nil, fmt.Errorf("no serving certificate yet in Secret %s", k.opts.Secret)
}

// Authority is the CA bundle that trusts what is served, as PEM; nil until something is served. Whoever adds a webhook to a
// configuration that the Keeper keeps writes it there at once, and leaves it to the Keeper from then on.
func (k *Keeper) Authority() []byte {
	if ca := k.trusted.Load(); ca != nil {
		return *ca
	}
	return nil
}

// Ready fails until a certificate is served and every object that calls the webhooks has been seen to trust it.
func (k *Keeper) Ready(*http.Request) error {
	if k.serving.Load() == nil || !k.placed.Load() {
		return fmt.Errorf("the webhook certificate of Secret %s is not in place yet", k.opts.Secret)
	}
	return nil
}

// Start keeps the certificate until the context ends. It fails only if it cannot watch at all.
func (k *Keeper) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("certs").WithValues("secret", k.opts.Secret.String())
	ctx = log.IntoContext(ctx, logger)
	if err := k.watch(ctx); err != nil {
		return err
	}
	retry := k.backoff()
	for {
		next := recheck
		if err := k.settle(ctx); err == nil {
			retry = k.backoff()
		} else if ctx.Err() == nil {
			next = retry.Step()
			if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
				logger.V(1).Info("Another replica was faster; looking again", "reason", err.Error())
			} else {
				logger.Error(err, "The webhook certificate is not in place; trying again", "after", next.String())
			}
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-k.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (k *Keeper) backoff() wait.Backoff {
	return wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 10, Cap: 30 * time.Second}
}

// settle makes the Secret, what is served and what is trusted agree.
func (k *Keeper) settle(ctx context.Context) error {
	data, err := k.secret(ctx)
	if err != nil {
		return err
	}
	if err := k.serve(ctx, data); err != nil {
		return err
	}
	ca := data[keyCACert]
	k.trusted.Store(&ca)
	if err := k.place(ctx, ca); err != nil {
		return err
	}
	k.placed.Store(true)
	return nil
}

// secret returns what the Secret holds, after renewing that where it must be.
func (k *Keeper) secret(ctx context.Context) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	err := k.client.Get(ctx, k.opts.Secret, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && (!missing || k.opts.External) {
		return nil, fmt.Errorf("reading Secret %s: %w", k.opts.Secret, err)
	}
	if k.opts.External {
		return secret.Data, nil
	}
	data, changed, err := renew(secret.Data, &k.opts, k.clock.Now())
	if err != nil {
		return nil, err
	}
	if !changed {
		return data, nil
	}
	secret.Data = data
	if missing {
		secret.ObjectMeta = metav1.ObjectMeta{Namespace: k.opts.Secret.Namespace, Name: k.opts.Secret.Name}
		err = k.client.Create(ctx, secret)
	} else {
		err = k.client.Update(ctx, secret) // guarded by the resource version that was read
	}
	if err != nil {
		return nil, fmt.Errorf("writing new certificates to Secret %s: %w", k.opts.Secret, err)
	}
	log.FromContext(ctx).Info("Made new certificates")
	return data, nil
}

// serve takes the certificate of the Secret into use.
func (k *Keeper) serve(ctx context.Context, data map[string][]byte) error {
	if bytes.Equal(k.served, data[keyCert]) && k.served != nil {
		return nil
	}
	pair, err := tls.X509KeyPair(data[keyCert], data[keyKey])
	if err != nil {
		return fmt.Errorf("reading %s and %s of Secret %s: %w", keyCert, keyKey, k.opts.Secret, err)
	}
	k.serving.Store(&pair)
	k.served = data[keyCert]
	log.FromContext(ctx).Info("Serving a certificate", "notAfter", pair.Leaf.NotAfter.Format(time.RFC3339), "names", pair.Leaf.DNSNames)
	return nil
}

// place writes the authority into every object that calls the webhooks; where somebody else does that, it
// checks that they did.
func (k *Keeper) place(ctx context.Context, ca []byte) error {
	var errs []error
	for _, t := range k.targets() {
		err := k.client.Get(ctx, client.ObjectKeyFromObject(t.object), t.object)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err == nil {
			err = k.trust(ctx, t, ca)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("placing the CA in %s: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

// trust makes one object, as it was read, trust the authority.
func (k *Keeper) trust(ctx context.Context, t target, ca []byte) error {
	base := t.object.DeepCopyObject().(client.Object)
	changed := false
	for _, bundle := range t.bundles() {
		switch {
		case k.opts.External && !bytes.Contains(*bundle, bytes.TrimSpace(ca)):
			return fmt.Errorf("it does not trust %s of Secret %s: whoever writes that Secret must write it there too", keyCACert, k.opts.Secret)
		case !k.opts.External && !bytes.Equal(*bundle, ca):
			*bundle, changed = ca, true
		}
	}
	if !changed {
		return nil
	}
	if err := k.client.Patch(ctx, t.object, t.patch(base)); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Placed the CA", "in", t.String())
	return nil
}
