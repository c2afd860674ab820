package ipp

import proto "rasid/hardware/ipp"

// attributes describes the printer as RFC 8011 §5.4 wants it.
func (p *Printer) attributes() []proto.Attribute {
	p.mu.Lock()
	defer p.mu.Unlock()
	state, reasons := int32(3), []string{}
	waiting := p.next() != nil
	if waiting {
		state = 4
	}
	if p.paper == 0 {
		reasons = append(reasons, "media-empty-error")
		if waiting {
			state, reasons = 5, append(reasons, "media-needed-error")
		}
	}
	if p.jammed {
		state, reasons = 5, append(reasons, "media-jam-error")
	}
	if len(reasons) == 0 {
		reasons = []string{"none"}
	}
	str, ints := proto.Strings, proto.Ints
	return []proto.Attribute{
		str(proto.TagURI, "printer-uri-supported", p.URI()), str(proto.TagKeyword, "uri-authentication-supported", "none"), str(proto.TagKeyword, "uri-security-supported", "none"),
		str(proto.TagName, "printer-name", "Rasid Lab Laser"), str(proto.TagText, "printer-info", "Rasid Lab Laser"), str(proto.TagText, "printer-make-and-model", "Rasid Lab Laser"),
		str(proto.TagURI, "printer-uuid", urn(p.cfg.Spool)), ints(proto.TagEnum, "printer-state", state), str(proto.TagKeyword, "printer-state-reasons", reasons...),
		proto.Bool("printer-is-accepting-jobs", !p.busy), ints(proto.TagInteger, "printer-up-time", int32(p.upSeconds())), ints(proto.TagInteger, "queued-job-count", int32(p.queued())),
		str(proto.TagKeyword, "ipp-versions-supported", "1.1", "2.0"), str(proto.TagKeyword, "compression-supported", "none"), str(proto.TagKeyword, "pdl-override-supported", "not-attempted"),
		ints(proto.TagEnum, "operations-supported", int32(proto.OpPrintJob), int32(proto.OpValidateJob), int32(proto.OpCancelJob), int32(proto.OpGetJobAttributes), int32(proto.OpGetJobs), int32(proto.OpGetPrinterAttributes)),
		str(proto.TagCharset, "charset-configured", "utf-8"), str(proto.TagCharset, "charset-supported", "utf-8", "us-ascii"),
		str(proto.TagLanguage, "natural-language-configured", "en"), str(proto.TagLanguage, "generated-natural-language-supported", "en"),
		str(proto.TagMIME, "document-format-default", "application/pdf"), str(proto.TagMIME, "document-format-supported", "application/pdf", "application/octet-stream"),
		str(proto.TagKeyword, "media-supported", "iso_a4_210x297mm"), str(proto.TagKeyword, "media-default", "iso_a4_210x297mm"), str(proto.TagKeyword, "media-ready", "iso_a4_210x297mm"),
		proto.Collection("media-col-default", proto.Collection("media-size", ints(proto.TagInteger, "x-dimension", 21000), ints(proto.TagInteger, "y-dimension", 29700))),
		str(proto.TagText, "printer-location", "on this machine"), str(proto.TagURI, "printer-more-info", "http://"+p.Addr()+"/"),
		str(proto.TagKeyword, "sides-supported", "one-sided"), str(proto.TagKeyword, "sides-default", "one-sided"), proto.Bool("color-supported", false),
	}
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
