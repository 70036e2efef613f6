package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"freshet/fileserver/auth"
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func usersOf(t testing.TB, lines ...string) *auth.Users {
	t.Helper()
	users, err := auth.ReadUsers("users", strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return users
}

func authorityOf(t testing.TB, lines ...string) *auth.Authority {
	return auth.NewAuthority(auth.Policy{Users: usersOf(t, lines...), Rules: auth.Same(auth.All, auth.None)})
}

func TestSignIn(t *testing.T) {
	line, err := auth.NewLine("bob", "secret:2")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		field string
		who   auth.Who
		err   error
	}{
		"bcrypt":             {basic("ana", "secret"), ana, nil},
		"argon2id_colon":     {basic("bob", "secret:2"), bob, nil},
		"scheme_any_case":    {strings.Replace(basic("ana", "secret"), "Basic", "bASIC", 1), ana, nil},
		"wrong_password":     {basic("ana", "Secret"), nobody, auth.ErrCredentials},
		"no_password":        {basic("ana", ""), nobody, auth.ErrCredentials},
		"password_of_other":  {basic("bob", "secret"), nobody, auth.ErrCredentials},
		"nobody":             {basic("eve", "secret"), nobody, auth.ErrCredentials},
		"no_name":            {basic("", "secret"), nobody, auth.ErrCredentials},
		"name_in_other_case": {basic("Ana", "secret"), nobody, auth.ErrCredentials},
		"no_colon":           {"Basic " + base64.StdEncoding.EncodeToString([]byte("ana")), nobody, auth.ErrMalformed},
		"not_base64":         {"Basic ana:secret", nobody, auth.ErrMalformed},
		"bearer":             {"Bearer " + basic("ana", "secret")[6:], nobody, auth.ErrMalformed},
		"empty":              {"", nobody, auth.ErrMalformed},
		"scheme_alone":       {"Basic", nobody, auth.ErrMalformed},
		"long":               {basic("ana", strings.Repeat("x", auth.PasswordBytesMax+1)), nobody, auth.ErrMalformed},
		"very_long":          {"Basic " + strings.Repeat("AAAA", 1<<20), nobody, auth.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			a := authorityOf(t, "ana:"+aBcrypt(t, "secret"), line)
			for range 2 {
				who, _, err := a.SignIn(t.Context(), a.Policy(), c.field, "192.0.2.1")
				if who != c.who || !errors.Is(err, c.err) || c.err == nil && err != nil {
					t.Errorf("got %q, %v", who, err)
				}
			}
		})
	}
}

func TestCredentialsAreDroppedWithTheUsers(t *testing.T) {
	a := authorityOf(t, "ana:"+aBcrypt(t, "secret"))
	ask := func() error {
		_, _, err := a.SignIn(t.Context(), a.Policy(), basic("ana", "secret"), "192.0.2.1")
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	a.Replace(auth.Policy{Users: usersOf(t, "ana:"+aBcrypt(t, "other")), Rules: a.Policy().Rules})
	if err := ask(); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("the old password is still good: %v", err)
	}
}

// TestRightCredentialsAreNotWorkedOutAgain also checks that they are, when their time is over.
func TestRightCredentialsAreNotWorkedOutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authorityOf(t, "ana:"+aBcrypt(t, "secret"))
		ask := func(password string) (err error) {
			_, _, err = a.SignIn(t.Context(), a.Policy(), basic("ana", password), "192.0.2.1")
			return err
		}
		if err := ask("secret"); err != nil {
			t.Fatal(err)
		}
		for range auth.TriesPerAddress {
			_ = ask("wrong")
		}
		if err := ask("secret"); err != nil {
			t.Errorf("what is known to be right was looked at again: %v", err)
		}
		var tries *auth.TriesError
		if err := ask("wrong"); !errors.As(err, &tries) || tries.After > auth.TriesAddressPause || tries.After <= 0 {
			t.Errorf("got %v", err)
		}
		time.Sleep(auth.CredentialsMinutes*time.Minute + time.Second)
		for range auth.TriesPerAddress {
			_ = ask("wrong")
		}
		if err := ask("secret"); !errors.As(err, &tries) {
			t.Errorf("what was right is remembered for too long: %v", err)
		}
		time.Sleep(tries.After)
		if err := ask("secret"); err != nil {
			t.Errorf("after the pause that was told: %v", err)
		}
	})
}

func TestGuessersAreSlowedDown(t *testing.T) {
	for name, c := range map[string]struct {
		client func(i int) string
		user   func(i int) string
		most   int // that are looked at
	}{
		"one_address":      {func(int) string { return "192.0.2.1" }, func(i int) string { return fmt.Sprint("u", i) }, auth.TriesPerAddress},
		"one_ipv6_network": {func(i int) string { return fmt.Sprintf("[2001:db8::%x]", i+1) }, func(i int) string { return fmt.Sprint("u", i) }, auth.TriesPerAddress},
		"one_mapped":       {func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] }, func(i int) string { return fmt.Sprint("u", i) }, auth.TriesPerAddress},
		"one_user":         {func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, func(int) string { return "ana" }, auth.TriesPerUser},
		"one_nobody":       {func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, func(int) string { return "eve" }, auth.TriesPerUser},
		"no_two_alike":     {func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, func(i int) string { return fmt.Sprint("u", i) }, 60},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := authorityOf(t, "ana:"+aBcrypt(t, "secret"))
				looked := 0
				for i := range 60 {
					_, _, err := a.SignIn(t.Context(), a.Policy(), basic(c.user(i), "x"), c.client(i))
					if errors.Is(err, auth.ErrCredentials) {
						looked++
					}
				}
				if looked != c.most {
					t.Errorf("%d guesses were looked at, want %d", looked, c.most)
				}
			})
		})
	}
}

func TestSomebodyKnownIsNotHeldUpByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authorityOf(t, "ana:"+aBcrypt(t, "secret"))
		ask := func(password, client string) error {
			_, _, err := a.SignIn(t.Context(), a.Policy(), basic("ana", password), client)
			return err
		}
		if err := ask("secret", "192.0.2.200"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		for i := range 2 * auth.TriesPerUser {
			_ = ask("wrong", fmt.Sprintf("192.0.2.%d", i))
		}
		var tries *auth.TriesError
		if err := ask("secret", "192.0.2.201"); !errors.As(err, &tries) {
			t.Fatalf("the name is not held up: %v", err)
		}
		if err := ask("secret", "192.0.2.200"); err != nil {
			t.Errorf("she is held up where she is known: %v", err)
		}
	})
}

// TestHurryGainsNothing sends many guesses at once: those that were under way already count against later ones.
func TestHurryGainsNothing(t *testing.T) {
	a := authorityOf(t, "ana:"+aBcrypt(t, "secret"))
	var group sync.WaitGroup
	for i := range auth.HashesWaitingMax {
		group.Go(func() { _, _, _ = a.SignIn(t.Context(), a.Policy(), basic("ana", fmt.Sprint(i)), "192.0.2.1") })
	}
	group.Wait()
	_, _, err := a.SignIn(t.Context(), a.Policy(), basic("ana", "x"), "192.0.2.1")
	var tries *auth.TriesError
	if !errors.As(err, &tries) {
		t.Errorf("got %v", err)
	}
}

func TestSignInEndsWithItsRequest(t *testing.T) {
	a := authorityOf(t, "ana:"+anArgon)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var group sync.WaitGroup
	for range 8 { // more than there are slots, so that some must wait; a free slot may be taken all the same
		group.Go(func() {
			if _, _, err := a.SignIn(ctx, a.Policy(), basic("ana", "x"), "192.0.2.1"); err == nil {
				t.Error("signed in")
			}
		})
	}
	group.Wait()
}

func TestKeeps(t *testing.T) {
	hash, other := aBcrypt(t, "a"), aBcrypt(t, "a")
	old := usersOf(t, "ana:"+hash, "bob:"+hash)
	for name, c := range map[string]struct {
		now  *auth.Users
		who  auth.Who
		want bool
	}{
		"same":       {old, ana, true},
		"read_again": {usersOf(t, "ana:"+hash), ana, true},
		"nobody":     {usersOf(t), nobody, true},
		"removed":    {usersOf(t, "ana:"+hash), bob, false},
		"new_hash":   {usersOf(t, "ana:"+other), ana, false},
		"no_users":   {nil, ana, false},
	} {
		if got := c.now.Keeps(old, c.who); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestMemoryIsFlatUnderGuesses asks with a hundred thousand passwords, users and addresses, none of which leaves more behind
// than a bounded number of counters.
func TestMemoryIsFlatUnderGuesses(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	a := authorityOf(t, "ana:"+aBcrypt(t, "secret"))
	guess := func(from, to int) {
		for i := from; i < to; i++ {
			client := fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)
			_, _, _ = a.SignIn(t.Context(), a.Policy(), basic("ana", fmt.Sprint("wrong", i)), client)
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	guess(0, 10_000)
	before := heap()
	guess(10_000, 110_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("100,000 guesses left %d bytes behind", grown)
	}
}

func BenchmarkSignInKnown(b *testing.B) {
	a := authorityOf(b, "ana:"+aBcrypt(b, "secret"))
	field := basic("ana", "secret")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.SignIn(b.Context(), a.Policy(), field, "192.0.2.1"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNobodyTakesAsLong compares the quickest of several refusals of a user with those of names that nobody has.
func TestNobodyTakesAsLong(t *testing.T) {
	line, err := auth.NewLine("ana", "secret")
	if err != nil {
		t.Fatal(err)
	}
	a := authorityOf(t, line)
	quickest := func(name string) (least time.Duration) {
		for i := range 5 {
			began := time.Now()
			_, _, err := a.SignIn(t.Context(), a.Policy(), basic(name, "wrong"), fmt.Sprint("192.0.2.", i, len(name)))
			if !errors.Is(err, auth.ErrCredentials) {
				t.Fatal(err)
			}
			if took := time.Since(began); i == 0 || took < least {
				least = took
			}
		}
		return least
	}
	if known, unknown := quickest("ana"), quickest("nobody"); unknown < known/3 || unknown > known*3 {
		t.Errorf("a user is refused after %v, nobody after %v", known, unknown)
	}
}
