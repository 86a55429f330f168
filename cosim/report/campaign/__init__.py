"""The page of a campaign: variants, differences, costs against violations."""
