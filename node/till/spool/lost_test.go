package spool

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rasid/hardware"
	"rasid/node/till"
)

// Whatever the printer lets get lost or comes late with, one original comes out.
func TestLostAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		lost  string
		late  bool
		then  func(s *shop) // once the answer is lost
		after func(s *shop) // once the spool asked again
		jobs  int32         // made at the printer, 0 for one
	}{
		{name: "created", lost: "create"},
		{name: "created late", lost: "create", late: true, then: (*shop).arriveNow},
		{name: "created after Find", lost: "create", late: true, after: (*shop).arriveNow, jobs: 2},
		{name: "sent", lost: "send"},
		{name: "not sent", lost: "send before"},
		{name: "created, and given up", lost: "create", then: (*shop).expireNow, jobs: 2},
		{name: "not sent, and known as blank", lost: "send before", then: func(s *shop) { s.jobs[0].Blank = true; s.expire() }, jobs: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			inShop(t, false, func(s *shop) {
				s.lost[c.lost], s.late = true, c.late
				s.spool.Print(7, 1)
				synctest.Wait()
				if c.then != nil {
					c.then(s)
				}
				s.ask()
				if c.after != nil {
					c.after(s)
				}
				for range 4 {
					s.round()
				}
				s.wants(t, []till.Event{fine, printed1}, name1)
				if len(s.papers) != 1 || s.next != max(1, c.jobs) {
					t.Errorf("papers %q of %d jobs, want one original of %d", s.papers, s.next, max(1, c.jobs))
				}
			})
		})
	}
}

func (s *shop) arriveNow() { s.arrive() }
func (s *shop) expireNow() { s.expire() }

// A job made twice is sent once; the other one is canceled, also when the printer
// tells of it only after the document is on its way.
func TestJobMadeTwice(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.lost["create"], s.late = true, true
		s.spool.Print(7, 1)
		synctest.Wait()
		s.paper, s.lost["send"] = hardware.PaperOut, true
		s.ask() // another is made and sent; that answer is lost too
		s.arrive()
		s.ask()
		s.ask()
		if s.cancels != 1 || len(s.submitted) != 1 {
			t.Errorf("%d canceled, submitted %q, want one each", s.cancels, s.submitted)
		}
		s.paper = hardware.PaperFull
		s.round()
		s.round()
		s.wants(t, []till.Event{fine, noPaper, fine, printed1}, name1)
	})
}

// The document was sent to a job that the printer forgot; one that still waits is no
// proof that nothing came out.
func TestJobMadeTwiceAndForgotten(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.lost["create"], s.late = true, true
		s.spool.Print(7, 1)
		synctest.Wait()
		s.lost["send"] = true
		s.ask()
		s.work()
		s.jobs = nil // it came out, and was forgotten
		s.arrive()
		s.ask()
		s.ask()
		s.wants(t, []till.Event{fine, unknown1}, name1)
		if s.cancels != 1 || len(s.papers) != 1 {
			t.Errorf("%d canceled, papers %q", s.cancels, s.papers)
		}
	})
}

// A document that may have reached a job that then ended without a word is never sent
// again as the original.
func TestSentAndGivenUp(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.lost["send before"] = true
		s.spool.Print(7, 1)
		synctest.Wait()
		s.expire()
		s.ask()
		s.wants(t, []till.Event{fine, unknown1})
	})
}

// What was refused is no doubt, however long it takes: the original prints in the end.
func TestRefusedForLong(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.refusing = true
		s.spool.Ask(7, 1, time.Now().Add(-30*time.Second)) // nothing of it is at the printer
		s.ask()
		<-time.After(time.Hour)
		s.refusing, s.full = false, true
		s.ask() // a job, and no room for its document
		s.expire()
		s.ask()
		s.full = false
		s.round()
		s.round()
		if last := s.events[len(s.events)-1]; last != printed1 || slices.Contains(s.events, till.Event(unknown1)) || len(s.papers) != 1 {
			t.Errorf("told %+v, papers %q", s.events, s.papers)
		}
	})
}

// A printer with Print-Job alone may make the job long after: it is asked by name,
// and a paper that it does not know is printed again as a duplicate only.
func TestSimplePrinter(t *testing.T) {
	inShop(t, false, func(s *shop) {
		s.simple = true
		s.spool.Print(7, 1)
		s.round()
		s.round()
		s.lost["submit"] = true
		s.spool.Print(8, 1)
		synctest.Wait()
		s.round()
		s.round()
		s.lost["submit"], s.late = true, true
		s.spool.Print(9, 1)
		synctest.Wait()
		s.ask()
		s.arrive()
		s.round()
		want := []till.Event{fine, printed1, till.PaperPrinted{Subject: 8, Copy: 1}, till.PaperUnknown{Subject: 9, Copy: 1}}
		s.wants(t, want, name1, "K1-8-copy-1", "K1-9-copy-1")
		s.refusing = true // nothing is done, so that nothing is in doubt
		s.spool.Print(10, 1)
		s.ask()
		s.refusing = false
		s.round()
		s.round()
		if got := s.events[len(s.events)-1]; got != (till.PaperPrinted{Subject: 10, Copy: 1}) {
			t.Errorf("at last %+v", got)
		}
	})
}
