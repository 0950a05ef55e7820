package store

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// indexMetrics tell how far the index is built.
type indexMetrics struct {
	indexed  metric.Int64Counter
	watching metric.Registration
}

func newIndexMetrics(s *Store, o Options) (m indexMetrics, err error) {
	meters := o.MeterProvider
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	meter := meters.Meter("aftercare/service/store")
	if m.indexed, err = meter.Int64Counter("aftercare.index.resources", metric.WithUnit("{resource}"),
		metric.WithDescription("Resources that were indexed again by this process.")); err != nil {
		return m, err
	}
	pending, err := meter.Int64ObservableGauge("aftercare.index.pending", metric.WithUnit("{parameter}"),
		metric.WithDescription("Search parameters that cannot be used until they are indexed."))
	if err != nil {
		return m, err
	}
	m.watching, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if known := s.index.Load(); known != nil {
			o.ObserveInt64(pending, int64(len(known.pending)))
		}
		return nil
	}, pending)
	return m, err
}

func (m *indexMetrics) add(ctx context.Context, resources int) { m.indexed.Add(ctx, int64(resources)) }

func (m *indexMetrics) stop() error { return m.watching.Unregister() }
