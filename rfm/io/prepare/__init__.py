"""Daily files to start with: the built-in sample, a gift-ware shop made from a seed.

The sample has the shape of the example data (Online Retail II, Chen 2012), measured on its first 120 days,
in names and numbers of its own: few customers bring most of the money, many buy once, some stop, autumn
sells more, a fifth of the lines has no customer, and what a real till leaves behind (cancellations, write-
offs, vouchers, repeated lines) is there as well.

It is made in four rooms: `catalogue` knows what the shop sells and at what price, `customers` who comes on which
day, `trade` what is bought, and `sample` numbers the invoices and writes the files.
"""

from rfm.io.prepare.sample import SampleReport, make_sample

__all__ = ["SampleReport", "make_sample"]
