// Package course works out how the pain of a patient has gone: reports of pain as series, each of
// one anchor, site, scale and unit. It is a pure function of the stored records and the
// definitions: no I/O, no clock.
//
// The nouns:
//
//   - A scale is a code of the ValueSet pain-scales. Values of two scales, or in two units, are
//     never in one series.
//   - An anchor is what a care plan is for, and the plans that replaced it after revisions. Its
//     operations are the completed Procedures of those plans; days are counted from the first
//     that has an exact date, in local dates of the care site.
//   - A point is one report. What cannot be a point is left out with its reason.
//   - A trend is the slope of Theil and Sen with its confidence interval (trend.go).
//   - A window is an activity of the plan in force that the ValueSet pain-windows names.
package course
