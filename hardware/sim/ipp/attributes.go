package ipp

import (
	"encoding/binary"

	proto "rasid/hardware/ipp"
)

// condition is printer-state and printer-state-reasons. The same trouble is a report
// while nobody wants to print and an error when a job stands: printers do that, and
// clients have to see through it. The caller holds mu.
func (p *Printer) condition() (state int32, reasons []string) {
	state = 3
	waiting, severity := p.next() != nil, "-report"
	if waiting {
		state = 4
		if p.paper == 0 || p.jammed {
			state, severity = 5, "-error"
		}
	}
	if p.paper == 0 {
		reasons = append(reasons, "media-empty"+severity)
		if waiting {
			reasons = append(reasons, "media-needed"+severity)
		}
	}
	if p.jammed {
		state, reasons = 5, append(reasons, "media-jam-error")
	}
	if len(reasons) == 0 {
		reasons = []string{"none"}
	}
	return state, reasons
}

func fixed(tag proto.Tag, name string, bytes []byte) proto.Attribute {
	return proto.Attribute{Name: name, Values: []proto.Value{{Tag: tag, Bytes: bytes}}}
}

// attributes describes the printer as RFC 8011 §5.4 wants it.
func (p *Printer) attributes() []proto.Attribute {
	p.mu.Lock()
	defer p.mu.Unlock()
	state, reasons := p.condition()
	str, ints := proto.Strings, proto.Ints
	oneToOne := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1), 1)
	dpi600 := append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 600), 600), 3)
	return []proto.Attribute{
		str(proto.TagURI, "printer-uri-supported", p.URI()), str(proto.TagKeyword, "uri-authentication-supported", "none"), str(proto.TagKeyword, "uri-security-supported", "none"),
		str(proto.TagName, "printer-name", "Rasid Lab Laser"), str(proto.TagText, "printer-info", "Rasid Lab Laser"), str(proto.TagText, "printer-make-and-model", "Rasid Lab Laser"),
		str(proto.TagURI, "printer-uuid", urn(p.cfg.Spool)), ints(proto.TagEnum, "printer-state", state), str(proto.TagKeyword, "printer-state-reasons", reasons...),
		proto.Bool("printer-is-accepting-jobs", !p.busy), ints(proto.TagInteger, "printer-up-time", int32(p.upSeconds())), ints(proto.TagInteger, "queued-job-count", int32(p.queued())),
		str(proto.TagKeyword, "ipp-versions-supported", "1.1", "2.0"), str(proto.TagKeyword, "compression-supported", "none"), str(proto.TagKeyword, "pdl-override-supported", "not-attempted"),
		ints(proto.TagEnum, "operations-supported", p.operations()...),
		str(proto.TagCharset, "charset-configured", "utf-8"), str(proto.TagCharset, "charset-supported", "utf-8", "us-ascii"),
		str(proto.TagLanguage, "natural-language-configured", "en"), str(proto.TagLanguage, "generated-natural-language-supported", "en"),
		str(proto.TagMIME, "document-format-default", "application/pdf"), str(proto.TagMIME, "document-format-supported", "application/pdf", "application/octet-stream"),
		str(proto.TagKeyword, "media-supported", "iso_a4_210x297mm"), str(proto.TagKeyword, "media-default", "iso_a4_210x297mm"), str(proto.TagKeyword, "media-ready", "iso_a4_210x297mm"),
		proto.Collection("media-col-default", proto.Collection("media-size", ints(proto.TagInteger, "x-dimension", 21000), ints(proto.TagInteger, "y-dimension", 29700))),
		str(proto.TagText, "printer-location", "on this machine"), str(proto.TagURI, "printer-more-info", "http://"+p.Addr()+"/"),
		str(proto.TagKeyword, "sides-supported", "one-sided"), str(proto.TagKeyword, "sides-default", "one-sided"), proto.Bool("color-supported", false),
		ints(proto.TagInteger, "copies-default", 1), fixed(proto.TagRange, "copies-supported", oneToOne),
		ints(proto.TagEnum, "finishings-default", 3), ints(proto.TagEnum, "finishings-supported", 3),
		ints(proto.TagEnum, "orientation-requested-default", 3), ints(proto.TagEnum, "orientation-requested-supported", 3),
		str(proto.TagKeyword, "output-bin-default", "face-down"), str(proto.TagKeyword, "output-bin-supported", "face-down"),
		ints(proto.TagEnum, "print-quality-default", 4), ints(proto.TagEnum, "print-quality-supported", 4), ints(proto.TagInteger, "pages-per-minute", 20),
		fixed(proto.TagResolution, "printer-resolution-default", dpi600), fixed(proto.TagResolution, "printer-resolution-supported", dpi600),
		proto.Bool("multiple-document-jobs-supported", false), ints(proto.TagInteger, "multiple-operation-time-out", int32(openMax.Seconds())),
	}
}

// operations lists what the printer can do. The caller holds mu.
func (p *Printer) operations() []int32 {
	can := []int32{int32(proto.OpPrintJob), int32(proto.OpValidateJob)}
	if !p.simple {
		can = append(can, int32(proto.OpCreateJob), int32(proto.OpSendDocument))
	}
	return append(can, int32(proto.OpCancelJob), int32(proto.OpGetJobAttributes), int32(proto.OpGetJobs), int32(proto.OpGetPrinterAttributes))
}

// queued counts jobs that are not done. The caller holds mu.
func (p *Printer) queued() int {
	n := 0
	for _, j := range p.jobs {
		if j.state < 7 {
			n++
		}
	}
	return n
}
