"""SQL of this release, for the schema it was built for."""

ITEMS_BY_CODE = """
  SELECT item_code, material, shape, surface, length_mm, width_mm, weight_kg, tolerance_um, batch_size, route
    FROM items WHERE item_code = ANY(%(codes)s::text[])"""

ALL_ITEMS = """
  SELECT item_code, material, shape, surface, length_mm, width_mm, weight_kg, tolerance_um, batch_size, route
    FROM items ORDER BY item_code LIMIT 200000"""

RECORD_PREDICTIONS = """
  INSERT INTO ml_predictions (item_code, route, confidence, release, model_sha256, requested_by)
  SELECT code, route, confidence, %(release)s, %(sha256)s, %(user)s
    FROM unnest(%(codes)s::text[], %(routes)s::text[], %(confidences)s::float8[]) AS new (code, route, confidence)"""

DATA_QUALITY = """
  SELECT count(*) AS items,
         count(*) FILTER (WHERE route IS NULL) AS without_route,
         count(*) FILTER (WHERE material IS NULL OR shape IS NULL OR surface IS NULL) AS missing_categories,
         count(*) FILTER (WHERE length_mm IS NULL OR width_mm IS NULL OR weight_kg IS NULL OR tolerance_um IS NULL
                             OR batch_size IS NULL) AS missing_numbers,
         count(*) FILTER (WHERE length_mm <= 0 OR width_mm <= 0 OR weight_kg <= 0 OR tolerance_um <= 0
                             OR batch_size < 1) AS impossible_numbers,
         count(*) - count(DISTINCT (material, shape, surface, length_mm, width_mm, weight_kg, tolerance_um, batch_size))
           AS duplicates,
         max(updated_at) AS newest_item
    FROM items"""

PREDICTION_STATISTICS = """
  SELECT count(*) AS predictions, avg(confidence) AS mean_confidence, stddev_pop(confidence) AS confidence_deviation,
         min(created_at) AS oldest, max(created_at) AS newest
    FROM ml_predictions WHERE created_at > now() - interval '24 hours'"""

# Touches what this release reads and writes, without reading a row.
SCHEMA_PROBE = """
  SELECT i.material, i.route, p.confidence, p.release, t.metrics
    FROM items i, ml_predictions p, ml_training_logs t LIMIT 0"""
